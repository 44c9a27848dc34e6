//! What a newcomer meets first: the help of every command.

use super::Cli;
use clap::{Command, CommandFactory as _, Parser as _};

/// Every command that is shown, with the words that call it.
fn commands() -> Vec<(String, Command)> {
    let mut root = Cli::command();
    root.build();
    let (mut all, mut waiting) = (Vec::new(), vec![("bulkhead".to_owned(), root)]);
    while let Some((words, command)) = waiting.pop() {
        let below = command.get_subcommands().filter(|below| !below.is_hide_set() && below.get_name() != "help");
        waiting.extend(below.map(|below| (format!("{words} {}", below.get_name()), below.clone())));
        all.push((words, command));
    }
    all
}

/// The commands in the examples of a help, as a shell would hand them over.
fn examples(help: &str) -> Vec<Vec<String>> {
    // What is said about an example stands two spaces behind it.
    let lines = help.lines().map(|line| line.trim_start().split("   ").next().unwrap_or_default());
    // Variables before it, and what feeds it; what it feeds.
    let calls = lines.filter_map(|line| line.find("bulkhead ").map(|at| &line[at..]));
    calls.map(|call| words(call.split(['|', '>', ')']).next().unwrap_or_default())).collect()
}

/// Words between spaces; those in single quotes are one.
fn words(call: &str) -> Vec<String> {
    let parts = call.split('\'').enumerate();
    let words = parts.flat_map(|(at, part)| match at % 2 {
        0 => part.split_whitespace().map(str::to_owned).collect(),
        _ => vec![part.to_owned()],
    });
    words.collect()
}

#[test]
fn every_command_has_an_example_and_every_example_is_understood() {
    let mut seen = 0;
    for (words, command) in commands() {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let examples = examples(&help);
        assert!(
            examples.iter().any(|example| example.join(" ").starts_with(&words)),
            "{words} has no example:\n{help}"
        );
        for example in examples {
            let found = Cli::try_parse_from(&example);
            let is_help = example.iter().any(|word| word == "--help");
            assert!(
                is_help || found.is_ok(),
                "{example:?}: {}",
                found.err().map(|error| error.to_string()).unwrap_or_default()
            );
            seen += 1;
        }
    }
    assert!(seen > 80, "{seen}");
}

#[test]
fn every_argument_is_explained_and_named_like_its_kind_elsewhere() {
    for (words, command) in commands() {
        assert!(command.get_about().is_some(), "{words}");
        for argument in command.get_arguments() {
            let id = argument.get_id();
            assert!(argument.get_help().is_some(), "{words} {id}");
            for name in argument.get_value_names().unwrap_or_default() {
                // A value name is the word for one value, not how a field is called here.
                let is_word = !name.contains('_')
                    && (!name.ends_with('S')
                        || ["ADDRESS", "SECONDS", "DAYS", "ROUNDS", "LETTERS", "READINGS"].contains(&name.as_str()));
                assert!(!argument.get_action().takes_values() || is_word, "{words} --{id} <{name}>");
                if id == "connection" || id == "connections" {
                    assert_eq!(name, "CONNECTION", "{words}");
                }
            }
        }
    }
}
