"""Pictures: the synthetic people, the index of a data set, its store in memory, augmentation."""
