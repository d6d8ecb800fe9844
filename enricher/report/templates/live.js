"use strict";
// Puts each picture that the server sends in the place of the last one. What it sends is escaped.
const picture = document.getElementById("picture");
const connection = document.getElementById("connection");
const source = new EventSource("events");
source.addEventListener("picture", (event) => {
  const open = new Set([...picture.querySelectorAll("details[open]")].map((one) => one.id));
  const parsed = new DOMParser().parseFromString(JSON.parse(event.data), "text/html");
  for (const one of parsed.querySelectorAll("details")) one.open = open.has(one.id);
  picture.replaceChildren(...parsed.body.childNodes);
  connection.hidden = true;
});
source.addEventListener("error", () => { connection.hidden = false; });
source.addEventListener("open", () => { connection.hidden = true; });
