use super::*;

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

#[test]
fn a_program_that_ended_leaves_its_output_and_code() {
    let finished = run(shell("echo out; echo err >&2; exit 7")).unwrap();
    assert_eq!(
        (finished.stdout().as_str(), finished.stderr().as_str()),
        ("out\n", "err\n")
    );
    finished.expect_code(7);
}

#[test]
fn a_line_is_seen_while_the_program_still_runs() {
    let running = start(shell("echo one; echo two; exec cat /dev/zero > /dev/null")).unwrap();
    let line = running
        .wait_for_line("say two", |line| line.starts_with("tw"))
        .unwrap();
    assert_eq!(line.as_deref(), Some("two"));
    assert!(!running.ended_within(Duration::ZERO));
    running.signal(Signal::SIGTERM);
    assert_eq!(
        running.finish().unwrap().signal,
        Some(Signal::SIGTERM as i32)
    );
}

#[test]
fn a_line_that_never_comes_ends_with_the_program() {
    let running = start(shell("echo one")).unwrap();
    assert_eq!(
        running
            .wait_for_line("say two", |line| line == "two")
            .unwrap(),
        None
    );
}

#[test]
fn a_program_that_hangs_is_killed_and_reported_with_what_it_said() {
    let running = start(shell("echo here; exec cat /dev/zero > /dev/null")).unwrap();
    running.wait_for_line("start", |_| true).unwrap();
    let id = running.id();
    let error = running
        .finish_within(Duration::from_millis(10))
        .unwrap_err();
    assert!(error.to_string().contains("stdout: here"), "{error}");
    assert!(!std::path::Path::new(&format!("/proc/{id}")).exists());
}

#[test]
fn children_of_children_are_found_with_their_arguments() {
    let running = start(shell("sh -c 'cat /dev/zero > /dev/null; true' name; true")).unwrap();
    let found = |arguments: &[&str]| {
        descendants(running.id())
            .iter()
            .any(|member| member.arguments == arguments)
    };
    assert!(
        running
            .wait_until("start cat", || found(&["cat", "/dev/zero"]))
            .unwrap()
    );
    for member in descendants(running.id()) {
        let _ = nix::sys::signal::kill(
            unistd::Pid::from_raw(member.id.cast_signed()),
            Signal::SIGKILL,
        );
    }
    running.finish().unwrap();
}

#[test]
fn peak_memory_is_that_of_the_program_and_not_of_who_started_it() {
    {
        let mut held = vec![0_u8; 300 << 20];
        seed_pages(&mut held);
    }
    forget_own_peak().unwrap();
    let small = run(shell("true")).unwrap();
    assert!(small.peak_memory < 100 << 20, "{}", small.peak_memory);
    let large = run(shell(
        "head -c 200000000 /dev/zero | tail -c 200000000 > /dev/null",
    ))
    .unwrap();
    assert!(large.peak_memory > 190_000_000, "{}", large.peak_memory);
}

/// Touches every page, so that the memory is resident.
fn seed_pages(memory: &mut [u8]) {
    for page in memory.chunks_mut(4096) {
        page[0] = 1;
    }
    std::hint::black_box(memory);
}
