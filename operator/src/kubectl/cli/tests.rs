use clap::CommandFactory;

use super::*;

/// What stands before the help texts in the reference.
const INTRODUCTION: &str = include_str!("introduction.md");

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(format!("kubectl-blit {line}").split_whitespace())
}

fn status(line: &str) -> StatusArgs {
    match parse(line).unwrap().command {
        Command::Status(args) => args,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_definitions_do_not_contradict_each_other() {
    Cli::command().debug_assert();
}

#[test]
fn the_flags_of_kubectl_may_stand_before_and_behind_the_command() {
    for line in [
        "status copy -n ml --context east",
        "-n ml --context east status copy",
    ] {
        let cli = parse(line).unwrap();
        assert_eq!(cli.cluster.namespace.as_deref(), Some("ml"), "{line}");
        assert_eq!(cli.cluster.context.as_deref(), Some("east"), "{line}");
    }
}

#[test]
fn a_status_is_followed_unless_that_is_switched_off() {
    assert!(status("status copy").watch);
    assert!(status("status copy --watch").watch);
    assert!(!status("status copy --watch=false").watch);
    assert_eq!(status("status copy -o yaml").output, Some(Format::Yaml));
    assert!(status("status -A").all_namespaces);
}

#[test]
fn what_makes_no_sense_is_refused() {
    for line in [
        "",
        "status copy -A",
        "status -A -n ml",
        "status --wait",
        "status copy -o xml",
        "logs",
        "logs copy --attempt 0",
        "logs copy --side both",
        "cancel",
        "retry",
        "explain",
    ] {
        let error = parse(line).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{line}");
    }
}

/// The reference is an introduction and the help text of every command, so that review sees each change.
fn reference() -> String {
    let mut text = INTRODUCTION.to_owned();
    for name in ["status", "logs", "explain", "cancel", "retry"] {
        // Not the width of the terminal that the test runs in.
        let mut command = Cli::command().term_width(100);
        command.build();
        let command = command.find_subcommand_mut(name).unwrap();
        let help = command.render_long_help().to_string();
        let help: Vec<_> = help.lines().map(str::trim_end).collect();
        text.push_str(&format!(
            "\n## kubectl blit {name}\n\n```text\n{}\n```\n",
            help.join("\n").trim_end()
        ));
    }
    text
}

#[test]
fn the_reference_is_what_the_plugin_prints() {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../docs/reference/kubectl-blit.md"
    );
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        std::fs::write(file, reference()).unwrap();
    }
    let written = std::fs::read_to_string(file).unwrap();
    assert!(
        written == reference(),
        "docs/reference/kubectl-blit.md differs from the help texts; review the change, then run \
         UPDATE_REFERENCE=1 cargo test -p blit-operator --lib the_reference_is_what_the_plugin_prints"
    );
}
