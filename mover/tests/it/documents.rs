//! What the program prints about itself for shells and for `man`.

use std::fs;
use std::process::Command;

use blit_e2e::process::run;

use crate::blit::{PROGRAM, blit};

#[test]
fn bash_completes_commands_and_options() {
    // Calls what the script registers, as the shell does when the key is pressed after `word`.
    let complete = |words: &str, word: &str| {
        let script = format!(
            "source <(\"$0\" completions bash); COMP_WORDS=({words}); \
             COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _blit blit {word}; echo \"${{COMPREPLY[@]}}\""
        );
        let mut command = Command::new("bash");
        command.args(["-c", &script, PROGRAM]);
        let finished = run(command).unwrap();
        finished.expect_code(0);
        String::from_utf8(finished.stdout).unwrap()
    };
    assert_eq!(complete("blit mir", "mir"), "mirror\n");
    assert_eq!(
        complete("blit mirror --max-del", "--max-del"),
        "--max-delete\n"
    );
}

#[test]
fn every_shell_gets_completions() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let finished = run(blit(&["completions", shell])).unwrap();
        finished.expect_code(0);
        let script = String::from_utf8(finished.stdout).unwrap();
        assert!(script.contains("ludicrous-speed"), "{shell}: {script}");
    }
    let finished = run(blit(&["completions", "tcsh"])).unwrap();
    finished.expect_code(2);
}

#[test]
fn the_manual_is_written_where_one_wants_it() {
    let work = tempfile::tempdir().unwrap();
    let directory = work.path().join("share/man1");
    let mut command = blit(&["man"]);
    run({
        command.arg(&directory);
        command
    })
    .unwrap()
    .expect_code(0);
    for page in ["blit.1", "blit-mirror.1", "blit-mover-source.1"] {
        let text = fs::read_to_string(directory.join(page)).unwrap();
        assert!(text.contains(".SH NAME\n"), "{page}: {text}");
    }
}

#[test]
fn a_manual_that_cannot_be_written_says_where_and_why() {
    let work = tempfile::tempdir().unwrap();
    let file = work.path().join("file");
    fs::write(&file, "mine").unwrap();
    let mut command = blit(&["man"]);
    command.arg(&file);
    let finished = run(command).unwrap();
    finished.expect_code(1);
    let message = finished.stderr();
    assert!(message.contains("/file`: "), "{message}");
    assert!(message.contains("name a directory"), "{message}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
}
