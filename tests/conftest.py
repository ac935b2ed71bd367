"""What every test process needs before torch is imported: as many threads as there are cores, four at most."""

import os

os.environ.setdefault("OMP_NUM_THREADS", str(min(4, os.cpu_count() or 1)))
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # spinning threads starve loader workers on few cores
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
