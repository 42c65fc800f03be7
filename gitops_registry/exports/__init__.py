"""What a version can be given to other systems as: one module for each, none of which knows another."""
