//! Tests of what the kernel of this machine may lack, in a virtual machine whose kernel has it: `make vm`.
//!
//! Non-goal: speed. The processor is emulated.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on should say where"
)]

mod hosts;
mod kernel_tls;
