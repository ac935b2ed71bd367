"""Pictures, clips and regions."""
