"""The one channel's heart: publish, order, durability, replay and fan-out."""
