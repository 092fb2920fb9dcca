"""Weight and optimizer files, read and compared without torch.

numpy and safetensors are imported inside functions here, and so are numeric libraries in `base_files` and
`record.environment`: an installation without the extra `trainer` can still list the commands and the checks.
"""
