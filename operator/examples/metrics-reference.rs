//! Prints `docs/reference/metrics.md`.

#[expect(clippy::print_stdout, reason = "that is what it is for")]
fn main() {
    print!("{}", blit_operator::metrics::reference());
}
