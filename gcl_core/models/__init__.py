"""Networks and the memory bank: identity encoder, structure encoder, generator, discriminator (METHOD.md §2, §3.5)."""
