//! Tests of the agent: tables of its pure parts, and scenes with a door, the simulated driver and hollow hands.

mod bed;
mod scenes;
mod seeds;
mod tables;
