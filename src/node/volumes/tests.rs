//! Plans as tables, and volumes on a real disk.
