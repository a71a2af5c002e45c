//! The `blit` program from outside: what it promises to people and to programs.
//!
//! Judged by the oracle of `blit-e2e`, which shares no code with the engine. Run as root: owners, devices
//! and mounts need it. A test that needs something the machine lacks fails and says what.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on should say where"
)]
#![expect(clippy::print_stdout, reason = "seeds and changes belong to a failure")]

mod attempts;
mod bad_input;
mod blit;
mod broken_destinations;
mod broken_places;
mod changing_files;
mod checksum;
mod connect;
mod detour;
mod diagnostics;
mod documents;
mod expiry;
mod fast_paths;
mod filters;
mod folded_names;
mod history;
mod interrupt;
mod killed;
mod large_files;
mod local_mirror;
mod local_mover;
mod long_hashes;
mod machine;
mod many_names;
mod matrix;
mod movers;
mod networks;
mod older_peers;
mod other_file_systems;
mod power_loss;
mod preview;
mod private;
mod proven;
mod pull;
mod random_trees;
mod refused_calls;
mod relay;
mod restricted;
mod resumed;
mod resumed_serve;
mod run_manifest;
mod said;
mod scale;
mod serve;
mod serve_access;
mod serve_faults;
mod serve_hostile;
mod serve_networks;
mod serve_planes;
mod serve_push;
mod slow_places;
mod stall;
mod stall_between_hosts;
mod standstill;
mod strangers;
mod streams;
mod survivors;
mod swapped_links;
mod system_calls;
mod systemd_unit;
mod usr;
mod verify;
mod wide_directory;
