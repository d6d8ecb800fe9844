"""The door for agents: what `enricher` can do, as tools of the Model Context Protocol.

server.py     the tools under one roof, over stdio or HTTP on loopback
desk.py       what all tools share: the session, the roots, the tokens of plans
workspace.py  the tools of one who asks: workspace, grids, one run at a time, the key
batches.py    the tools of one who has a list: plan, start, watch, cancel, fetch
processes.py  a batch in a process of its own
worker.py     that process
roots.py      which files may be touched
shapes.py     what the tools give back, with words for each field
telling.py    results and errors, as the protocol has them
"""
