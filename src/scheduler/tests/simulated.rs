//! Whole schedulers in simulation.
