//! The pages of settings are made from what the programs' `--help` says.

use std::process::Command;

use azureml_tests::{binary, checkout, generated};

/// What `--help` says of one flag.
#[derive(Debug, Default, PartialEq)]
struct Flag {
    /// As it is typed.
    usage: String,
    /// In words.
    about: String,
    /// The variable that stands for it.
    variable: String,
    /// What it is by default.
    default: String,
    /// What it may be, with words where there are any.
    values: Vec<(String, String)>,
}

#[test]
fn the_pages_of_settings_say_what_help_says() {
    let operator = help("azureml-operator", &["run", "--help"]);
    let plan = help("kubectl-azureml", &["plan", "--help"]);
    for (file, text) in [
        (
            "settings.md",
            format!(
                "{NOTE}\n# Operator settings\n\nFlags of `azureml-operator run`, and the variables that stand for them. \
                 In the chart: `operator.extraArgs` and `operator.extraEnv`, where no value of its own is there \
                 ([chart values](chart.md)).\n\n{}\nThe operator's own identity, proxies and a private certificate \
                 authority have variables only: [credentials](../credentials.md), \
                 [private network](../how-to/private-network.md). `RUST_LOG` says what is logged.\n",
                table(&flags(&operator))
            ),
        ),
        (
            "cli.md",
            format!(
                "{NOTE}\n# kubectl azureml plan\n\n{} How to read it: \
                 [planning before writing](../concepts/planning.md).\n\n{}\n## Exit codes\n\n{}",
                first_words(&plan),
                table(&flags(&plan)),
                exit_codes(&plan)
            ),
        ),
    ] {
        generated(&checkout().join("docs/reference").join(file), &text);
    }
}

const NOTE: &str = "<!-- Generated from the program's --help. -->\n";

/// What a program says of itself, whatever the environment sets.
fn help(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(binary(program, program).unwrap()).args(arguments).env_clear().output();
    String::from_utf8(output.unwrap().stdout).unwrap()
}

/// The paragraphs before the usage, as one.
fn first_words(help: &str) -> String {
    let before = help.split("\nUsage:").next().unwrap_or_default();
    before.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The flags, without those that every program has.
fn flags(help: &str) -> Vec<Flag> {
    let mut all: Vec<Flag> = Vec::new();
    let options = help.split_once("Options:\n").map_or("", |(_, after)| after);
    for line in options.lines() {
        let words = line.trim();
        if line.trim_start().starts_with('-') && line.len() - line.trim_start().len() < 8 {
            all.push(Flag { usage: words.to_owned(), ..Flag::default() });
            continue;
        }
        if !line.is_empty() && !line.starts_with(' ') {
            break;
        }
        let Some(flag) = all.last_mut() else { continue };
        let bracket = |name: &str| words.strip_prefix(&format!("[{name}: "))?.strip_suffix(']').map(str::to_owned);
        if let Some(variable) = bracket("env") {
            flag.variable = variable.trim_end_matches('=').to_owned();
        } else if let Some(default) = bracket("default") {
            flag.default = default;
        } else if let Some(values) = bracket("possible values") {
            flag.values = values.split(", ").map(|value| (value.to_owned(), String::new())).collect();
        } else if let Some((value, about)) = words.strip_prefix("- ").and_then(|words| words.split_once(":")) {
            flag.values.push((value.trim().to_owned(), about.trim().to_owned()));
        } else if let Some(more) = flag.values.last_mut().filter(|_| !words.is_empty()) {
            more.1 = format!("{} {words}", more.1);
        } else if words != "Possible values:" && !words.is_empty() {
            flag.about = format!("{} {words}", flag.about).trim().to_owned();
        }
    }
    all.retain(|flag| !flag.usage.contains("--help") && !flag.usage.contains("--version"));
    all
}

fn table(flags: &[Flag]) -> String {
    let mut text = String::from("| flag | variable | default | what |\n|---|---|---|---|\n");
    for flag in flags {
        let code = |word: &str| if word.is_empty() { String::new() } else { format!("`{word}`") };
        let value = |(value, about): &(String, String)| match about.is_empty() {
            true => format!("`{value}`"),
            false => format!("`{value}` ({})", about.trim_end_matches('.')),
        };
        let mut about = format!("{}.", flag.about.trim_end_matches('.'));
        if !flag.values.is_empty() {
            about = format!("{about} One of {}.", flag.values.iter().map(value).collect::<Vec<_>>().join(", "));
        }
        text.push_str(&format!(
            "| {} | {} | {} | {} |\n",
            code(&flag.usage),
            code(&flag.variable),
            code(&flag.default),
            about.replace('|', "\\|").replace('*', "\\*").replace('<', "&lt;")
        ));
    }
    text
}

/// The codes as a table.
fn exit_codes(help: &str) -> String {
    let after = help.split_once("Exit codes").map_or("", |(_, after)| after);
    let mut text = String::from("| code | when |\n|---|---|\n");
    for line in after.lines().skip(1).take_while(|line| line.starts_with("  ")) {
        if let Some((code, when)) = line.trim().split_once("  ") {
            text.push_str(&format!("| {code} | {when} |\n"));
        }
    }
    text.push_str("\nOf several objects' codes the first of 1, 3, 2, 0 counts.\n");
    text
}

#[test]
fn help_is_read() {
    let help = "About.\n\nUsage: x\n\nOptions:\n  -f, --file <FILE>\n          A file\n          of words.\n          \n          \
                [env: FILE=]\n          [default: a]\n\n      --how <HOW>\n          How.\n\n          Possible values:\n          \
                - text: For people\n          - json: For machines\n\n  -h, --help\n          Print help\n\nExit codes, so:\n  0  good\n  1  bad\n";
    let all = flags(help);
    assert_eq!(all.len(), 2);
    assert_eq!(
        (all[0].about.as_str(), all[0].variable.as_str(), all[0].default.as_str()),
        ("A file of words.", "FILE", "a")
    );
    assert_eq!(all[1].values, [("text".into(), "For people".into()), ("json".into(), "For machines".into())]);
    assert!(exit_codes(help).contains("| 1 | bad |"));
}
