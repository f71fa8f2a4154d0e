"""One module a command of ``backprompt``: what it prints, and nothing that a notebook would need."""
