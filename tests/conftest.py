"""One torch thread: two on a busy two-core machine stall for seconds."""

import torch

torch.set_num_threads(1)
