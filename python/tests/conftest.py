import os

os.environ.setdefault("KILN_CACHE", "off")  # no test reads or fills the user's cache
