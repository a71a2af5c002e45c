//! Who needs a volume that a mover holds. Pure.
