"""What a hash stands for: manifests, file hashes, the content root, and exports to other formats."""
