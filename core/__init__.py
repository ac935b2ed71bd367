"""The nouns, the contracts and the spine: what every other room stands on."""
