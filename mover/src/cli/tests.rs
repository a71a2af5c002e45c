use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::time::Duration;

use blit_engine::run::{MaxDelete, Operation};
use clap::CommandFactory;
use clap::error::ErrorKind;

use super::options::ProgressMode;
use super::*;

fn parse(line: &str) -> Result<Command, clap::Error> {
    Cli::try_parse_from(line.split_whitespace()).map(|cli| cli.command)
}

fn error(line: &str) -> clap::Error {
    let error = parse(line).unwrap_err();
    assert_eq!(error.exit_code(), 2, "{line}");
    error
}

fn help(path: &[&str]) -> String {
    // Not that of the terminal the test runs in.
    let mut command = Cli::command().term_width(100);
    command.build();
    let command = path.iter().fold(&mut command, |command, name| {
        command
            .find_subcommand_mut(name)
            .expect("the command exists")
    });
    command.render_long_help().to_string()
}

#[test]
fn the_definitions_do_not_contradict_each_other() {
    Cli::command().debug_assert();
}

/// The reference of the command line is the help text of every command, so that review sees each change.
fn reference() -> String {
    let mut text = "<!-- Generated from the definitions of the program: \
                    UPDATE_REFERENCE=1 cargo test -p blit --lib the_reference -->\n# Command line\n\n\
                    The [guide](../guide.md) explains; this is what `--help` prints. Exit codes have \
                    [a page of their own](exit-codes.md), and so have the [events](events.md).\n"
        .to_owned();
    for path in every_command() {
        let path: Vec<_> = path.iter().map(String::as_str).collect();
        let help: Vec<_> = help(&path)
            .lines()
            .map(|line| line.trim_end().to_owned())
            .collect();
        let (name, help) = ([&["blit"], &path[..]].concat().join(" "), help.join("\n"));
        text.push_str(&format!(
            "\n## {name}\n\n```text\n{}\n```\n",
            help.trim_end()
        ));
    }
    text
}

/// The program itself and all commands, also those of commands: none can be left out of the reference.
fn every_command() -> Vec<Vec<String>> {
    fn below(command: &clap::Command, path: &[String], found: &mut Vec<Vec<String>>) {
        found.push(path.to_vec());
        for child in command.get_subcommands() {
            let path = [path, &[child.get_name().to_owned()]].concat();
            below(child, &path, found);
        }
    }
    let mut found = Vec::new();
    below(&Cli::command(), &[], &mut found);
    found
}

#[test]
fn the_reference_is_what_the_program_prints() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference/cli.md");
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        std::fs::write(file, reference()).unwrap();
    }
    let written = std::fs::read_to_string(file).unwrap();
    assert!(
        written == reference(),
        "docs/reference/cli.md differs from the help texts; review the change, then run \
         UPDATE_REFERENCE=1 cargo test -p blit --lib the_reference"
    );
}

#[test]
fn the_help_hides_what_nobody_needs_and_says_so_of_the_rest() {
    let help = help(&["mirror"]);
    assert!(help.contains("Advanced / Niche:"), "{help}");
    for hidden in ["--workers", "--max-threads"] {
        assert!(!help.contains(hidden), "{hidden} is in {help}");
    }
}

#[test]
fn the_manual_has_a_page_for_each_command_and_names_the_limiters() {
    let pages = documents::pages().unwrap();
    assert_eq!(pages.len(), every_command().len());
    for name in ["blit-copy.1", "blit-mirror.1"] {
        let (_, page) = pages.iter().find(|page| page.0 == name).unwrap();
        let page = String::from_utf8(page.clone()).unwrap();
        let niche = page.split(".SH \"ADVANCED / NICHE\"").nth(1).unwrap();
        for limiter in ["\\-\\-workers", "\\-\\-max\\-threads"] {
            assert!(niche.contains(limiter), "{limiter} is not in {niche}");
        }
    }
}

#[test]
fn the_guard_is_no_niche() {
    let help = help(&["mirror"]);
    let niche = help.split("Advanced / Niche:").nth(1).unwrap();
    assert!(!niche.contains("--max-delete"), "{help}");
}

#[test]
fn operands_are_any_bytes() {
    let name = OsString::from_vec(b"/d\xff".to_vec());
    let cli = Cli::try_parse_from(["blit".into(), "copy".into(), name.clone(), "x".into()]);
    let Ok(Cli {
        command: Command::Copy(args),
    }) = cli
    else {
        panic!("{cli:?}")
    };
    assert_eq!(args.trees.source, name);
}

#[test]
fn options_of_rsync_and_of_the_first_version_are_accepted_and_do_nothing() {
    let line = "blit mirror -aHAX -rlptgoD -S -W --numeric-ids --mir --ludicrous-speed -a src dst";
    let Ok(Command::Mirror(args)) = parse(line) else {
        panic!()
    };
    assert_eq!(args.trees.destination, "dst");
    assert_eq!(args.trees.advanced.worker_limit(), None);
}

#[test]
fn options_of_later_versions_are_refused_and_not_ignored() {
    assert_eq!(
        error("blit mirror --bandwidth-limit=1M a b").kind(),
        ErrorKind::UnknownArgument
    );
}

#[test]
fn only_a_mirror_has_limits_on_deletion() {
    let Ok(Command::Mirror(args)) = parse("blit mirror --max-delete 10% --allow-empty-source a b")
    else {
        panic!()
    };
    assert_eq!(args.deletion.max_delete, Some(MaxDelete::Percent(10)));
    assert!(args.deletion.allow_empty_source);
    error("blit copy --max-delete 1 a b");
    let message = error("blit mirror --max-delete lots a b").to_string();
    assert!(message.contains("neither a number of entries"), "{message}");
}

#[test]
fn the_hidden_limiters_bound_each_other() {
    for (options, expected) in [
        ("", None),
        ("--workers 3", Some(3)),
        ("--max-threads 2", Some(2)),
        ("--workers 8 --max-threads 2", Some(2)),
    ] {
        let Ok(Command::Copy(args)) = parse(&format!("blit copy {options} a b")) else {
            panic!()
        };
        assert_eq!(args.trees.advanced.worker_limit(), expected, "{options}");
    }
    error("blit copy --workers 0 a b");
}

#[test]
fn progress_is_automatic_unless_something_else_is_asked() {
    let progress = |line: &str| match parse(line) {
        Ok(Command::Copy(args)) => args.trees.output.progress,
        other => panic!("{other:?}"),
    };
    assert_eq!(progress("blit copy a b"), ProgressMode::Auto);
    assert_eq!(
        progress("blit copy --progress always a b"),
        ProgressMode::Always
    );
}

#[test]
fn a_volume_is_a_claim_and_a_directory() {
    let Ok(Command::Run(args)) = parse("blit run -f job.yaml --volume a=/x --volume b=y=z") else {
        panic!()
    };
    assert_eq!(args.manifest, Path::new("job.yaml"));
    assert_eq!(args.volumes[0].claim, "a");
    assert_eq!(args.volumes[1].directory, Path::new("y=z"));
    for volume in ["a", "=x", "a="] {
        let message = error(&format!("blit run -f job.yaml --volume {volume}")).to_string();
        assert!(message.contains("CLAIM=DIR"), "{message}");
    }
    assert_eq!(error("blit run").kind(), ErrorKind::MissingRequiredArgument);
}

const SOURCE: &str = "blit mover source --root /v --path /in --connect [::1]:9031 --identity /id \
                      --job-uid u-1 --attempt 3 --progress-deadline 600 --termination-message /dev/t";

#[test]
fn a_source_mover_gets_its_whole_task_as_arguments() {
    let Ok(Command::Mover(MoverCommand::Source(args))) = parse(SOURCE) else {
        panic!()
    };
    assert_eq!(args.connect, "[::1]:9031");
    assert_eq!(
        (args.side.root.as_path(), args.side.path.as_path()),
        (Path::new("/v"), Path::new("/in"))
    );
    assert_eq!((args.side.job_uid.as_str(), args.side.attempt), ("u-1", 3));
    assert_eq!(args.side.progress_deadline, Some(Duration::from_secs(600)));
    assert_eq!(
        args.side.termination_message.as_deref(),
        Some(Path::new("/dev/t"))
    );
}

#[test]
fn a_destination_mover_gets_its_whole_task_as_arguments() {
    let line = "blit mover destination --root /v --path / --operation mirror --listen 0.0.0.0:9031 \
                --data-port 9032 --identity /id --job-uid u --attempt 1 --max-delete 5";
    let Ok(Command::Mover(MoverCommand::Destination(args))) = parse(line) else {
        panic!()
    };
    assert_eq!(Operation::from(args.write.operation), Operation::Mirror);
    assert_eq!((args.write.listen.port(), args.data_port), (9031, 9032));
    assert_eq!(args.write.max_delete, Some(MaxDelete::Count(5)));
    assert_eq!(args.side.progress_deadline, None);
}

#[test]
fn a_path_within_a_volume_cannot_leave_it() {
    for path in ["in", "/a/../../b", ".."] {
        error(&SOURCE.replace("--path /in", &format!("--path {path}")));
    }
    error(&SOURCE.replace("--attempt 3", "--attempt 0"));
    error(&SOURCE.replace("--progress-deadline 600", "--progress-deadline 0"));
}

#[test]
fn movers_take_exactly_what_a_mirror_job_is_turned_into() {
    use blit_crds::arguments::{self, MoverContext};
    let manifest = "apiVersion: blit.dev/v1alpha1\nkind: MirrorJob\nmetadata: {name: x}\nspec:\n  \
                    operation: Mirror\n  source: {persistentVolumeClaim: {claimName: a, path: /in}}\n  \
                    destination: {persistentVolumeClaim: {claimName: b}}\n  \
                    deletion: {maxDelete: 10%, allowEmptySource: true}\n";
    let job = blit_crds::load_manifest(manifest).unwrap();
    let context = MoverContext {
        root: "/volume".into(),
        host_prefix: "/".to_owned(),
        identity: "/identity".into(),
        job_uid: "u-1".to_owned(),
        attempt: 2,
        termination_message: Some("/dev/termination-log".into()),
        special_files: true,
    };
    let program = || std::iter::once(OsString::from("blit"));
    let source = arguments::source(&job.spec, &context, "10.0.0.1:9031").unwrap();
    let Command::Mover(MoverCommand::Source(source)) = Cli::try_parse_from(program().chain(source))
        .unwrap()
        .command
    else {
        panic!()
    };
    assert_eq!(source.side.path, Path::new("/in"));
    let listen = "0.0.0.0:9031".parse().unwrap();
    let destination = arguments::destination(&job.spec, &context, listen, 9032).unwrap();
    let Command::Mover(MoverCommand::Destination(destination)) =
        Cli::try_parse_from(program().chain(destination))
            .unwrap()
            .command
    else {
        panic!()
    };
    assert_eq!(destination.write.max_delete, Some(MaxDelete::Percent(10)));
    assert!(destination.write.allow_empty_source);
    assert!(!destination.write.no_special_files);
    assert_eq!(destination.side.attempt, 2);
    let to = MoverContext {
        root: "/to".into(),
        special_files: false,
        ..context.clone()
    };
    let local = arguments::local(&job.spec, &context, &to, listen).unwrap();
    let Command::Mover(MoverCommand::Local(local)) =
        Cli::try_parse_from(program().chain(local)).unwrap().command
    else {
        panic!()
    };
    assert_eq!(local.source_root, Path::new("/volume"));
    assert_eq!(local.source_path, Path::new("/in"));
    assert_eq!(local.side.root, Path::new("/to"));
    assert!(local.write.no_special_files);
}

#[test]
fn under_the_name_blitd_the_program_serves() {
    let given = |name: &str| words([name.into(), "--root".into(), "/x".into()]);
    for name in ["blitd", "/usr/bin/blitd"] {
        let cli = Cli::try_parse_from(given(name)).unwrap();
        assert!(matches!(cli.command, Command::Serve(_)), "{cli:?}");
    }
    assert_eq!(given("blit")[1], "--root");
}

#[test]
fn access_for_clients_is_made_only_from_an_identity() {
    for wrong in [
        "blit serve",
        "blit serve --issue-token",
        "blit serve --root /x --scope read",
        "blit serve --identity /i --root /x --issue-token",
        "blit serve --identity /i --issue-token --scope admin",
        "blit serve --identity /i --issue-token --prefix /a/..",
        "blit ping --tls-cert /c blit://h",
    ] {
        error(wrong);
    }
    parse("blit serve --identity /i --issue-token --scope read --prefix /a --expires 7d").unwrap();
}
