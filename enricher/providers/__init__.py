"""The systems that runs are bought from: one file a vendor, one contract, one HTTP user."""
