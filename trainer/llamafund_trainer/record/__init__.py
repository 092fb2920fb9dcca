"""Evidence of a training run: the recorder, and callbacks for Transformers and Lightning."""
