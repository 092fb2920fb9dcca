max_iters = 12
eval_interval = 6
dropout = 0.1
