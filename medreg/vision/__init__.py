"""Pictures: what is done with 2D images beyond registering one pair. Free of torch until its modules are imported."""
