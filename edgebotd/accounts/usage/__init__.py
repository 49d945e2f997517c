"""How much of each account is used: asked for seldom enough, kept with its age, told when it changes."""
