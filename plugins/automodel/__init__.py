"""Any decoder that transformers' AutoModelForCausalLM knows, as a backbone."""
