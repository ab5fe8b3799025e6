"""What networks that look at pictures share, in torch; knows no policy and no dataset.

::

    trunks        convolutional trunks by name, and their weights from a file
    imagenet      those whose weights for ImageNet are published
    perception    what cameras and joints tell together, in one vector
    augmentation  pictures changed at random, for training
"""
