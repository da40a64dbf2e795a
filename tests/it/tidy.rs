//! The house stays tidy: sizes, layers, and words that must not be in a source.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Modules by level. A module may import from lower levels and from itself; modules of one level are strangers.
const LEVELS: [&[&str]; 6] = [
    &["failure", "backoff", "shutdown", "status"],
    &["config", "event"],
    &["telemetry", "journal", "source", "broker", "store"],
    &["ingest", "relay", "projector"],
    &["replay", "verify", "api", "daemon"],
    &["cli"],
];

/// Neighbours that may see each other, each with its reason.
const NEIGHBOURS: [(&str, &str, &str); 2] = [
    (
        "daemon",
        "api",
        "the daemon wires stages, and the API is one",
    ),
    (
        "daemon",
        "verify",
        "the daemon has a slice of each store verified now and then",
    ),
];

/// Folders of the log by level. A file there may import from lower folders and from its own level, and whatever lies
/// beside the folders.
const LOG_LEVELS: [&[&str]; 4] = [
    &["format"],
    &["file"],
    &["read", "write"],
    &["mend", "keep"],
];

/// Files of the log that import from above, each with its reason.
const LOG_UPWARD: [(&str, &str, &str); 9] = [
    ("file/catalog.rs", "archive", "notes what was archived"),
    ("file/catalog.rs", "dedup", "takes in the keys of a segment"),
    (
        "read/files.rs",
        "archive",
        "archive and segments are one log",
    ),
    (
        "read/files.rs",
        "container",
        "archive and segments are one log",
    ),
    (
        "read/reader.rs",
        "archive",
        "archive and segments are one log",
    ),
    ("write/log.rs", "archive", "a trim archives first"),
    (
        "write/fence.rs",
        "rewrite",
        "a fence is an open with a hole",
    ),
    ("write/keeper.rs", "compact", "a sealed file is tightened"),
    ("write/open.rs", "salvage", "an open completes a salvage"),
];

/// What a file that calls itself pure may not name: files, the engine, clocks, threads, servers.
const IMPURE: [&str; 10] = [
    "redb::",
    "std::fs",
    "std::thread",
    "std::net",
    "crate::storage",
    "crate::clock",
    "Instant::now",
    "SystemTime",
    "tokio::",
    "Timestamp::now",
];

const FUNCTION_LINES_MAX: usize = 70;
const FILE_LINES_MAX: usize = 500;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A Rust source of ours, its path from the root with `/`, and its text.
struct Source {
    path: String,
    text: String,
}

fn sources() -> Vec<Source> {
    let mut paths = Vec::new();
    for folder in ["src", "wal", "tests", "benches"] {
        collect(&root().join(folder), &mut paths);
    }
    paths.sort();
    let sources: Vec<Source> = paths
        .into_iter()
        .map(|path| Source {
            text: fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}")),
            path: path
                .strip_prefix(root())
                .expect("inside the root")
                .to_string_lossy()
                .into_owned(),
        })
        .collect();
    assert!(sources.len() > 20, "the sources are not where they were");
    sources
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries {
        let path = entry.expect("an entry").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            collect(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
}

#[track_caller]
fn none(what: &str, findings: Vec<String>) {
    assert!(findings.is_empty(), "{what}:\n  {}", findings.join("\n  "));
}

/// Lines that hold one of the words, as `path:line: text`. This file names them, and is left out.
fn lines_with(words: &[String], allowed: impl Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources() {
        if source.path == "tests/it/tidy.rs" || allowed(&source.path) {
            continue;
        }
        for (number, line) in source.text.lines().enumerate() {
            if words.iter().any(|word| line.contains(word.as_str())) {
                found.push(format!("{}:{}: {}", source.path, number + 1, line.trim()));
            }
        }
    }
    found
}

#[test]
fn files_stay_short() {
    let long = sources()
        .iter()
        .filter(|source| source.text.lines().count() > FILE_LINES_MAX)
        .map(|source| format!("{} has {} lines", source.path, source.text.lines().count()))
        .collect();
    none("files over 500 lines", long);
}

#[test]
fn functions_stay_short() {
    let mut long = Vec::new();
    for source in sources() {
        let lines: Vec<&str> = source.text.lines().collect();
        for (start, line) in lines.iter().enumerate() {
            let Some(end) = function_end(line) else {
                continue;
            };
            let body = lines[start..].iter().position(|line| *line == end);
            if let Some(count) = body.filter(|count| *count >= FUNCTION_LINES_MAX) {
                long.push(format!(
                    "{}:{}: {} lines",
                    source.path,
                    start + 1,
                    count + 1
                ));
            }
        }
    }
    none("functions over 70 lines", long);
}

/// The line that ends a function as rustfmt lays it out, when this line begins one that has a body below.
fn function_end(line: &str) -> Option<String> {
    let code = line.trim_start();
    let before = &code[..code.find("fn ")?];
    let is_qualifier =
        |word| matches!(word, "const" | "async" | "unsafe") || str::starts_with(word, "pub");
    let begins = before
        .split(' ')
        .all(|word| word.is_empty() || is_qualifier(word));
    let ends_here = code.ends_with('}') || code.ends_with(';');
    let indent = line.len() - code.len();
    (begins && !ends_here).then(|| format!("{}}}", " ".repeat(indent)))
}

#[test]
fn sources_are_ascii() {
    let mut found = Vec::new();
    for source in sources() {
        for (number, line) in source.text.lines().enumerate() {
            if let Some(c) = line.chars().find(|c| !c.is_ascii()) {
                found.push(format!(
                    "{}:{}: {}",
                    source.path,
                    number + 1,
                    c.escape_unicode()
                ));
            }
        }
    }
    none("characters outside ASCII", found);
}

#[test]
fn nothing_is_left_to_do() {
    let words = ["todo!", "unimplemented!", "FIXME", "XXX"].map(str::to_owned);
    none("unfinished", lines_with(&words, |_| false));
}

#[test]
fn bincode_is_named_in_one_file() {
    let uses = ["bincode::", "use bincode", "extern crate bincode"].map(str::to_owned);
    let elsewhere = lines_with(&uses, |path| path == "src/event/codec.rs");
    none("bincode outside src/event/codec.rs", elsewhere);
}

#[test]
fn imports_point_down() {
    let mut levels = BTreeMap::new();
    for (level, modules) in LEVELS.iter().enumerate() {
        levels.extend(modules.iter().map(|module| (*module, level)));
    }
    let mut wrong = Vec::new();
    let mut homeless = Vec::new();
    for source in sources() {
        let Some(module) = module_of(&source.path) else {
            continue;
        };
        let Some(level) = levels.get(module) else {
            homeless.push(format!("{}: no level for `{module}`", source.path));
            continue;
        };
        for (number, import) in imports(&source.text) {
            let lower = levels.get(import).is_some_and(|other| other < level);
            let neighbours = NEIGHBOURS
                .iter()
                .any(|(from, to, _)| (*from, *to) == (module, import));
            if !lower && import != module && !neighbours {
                wrong.push(format!(
                    "{}:{number}: {module} imports {import}",
                    source.path
                ));
            }
        }
    }
    none("modules without a level", homeless);
    none("imports that point up or sideways", wrong);
}

/// The top module that a file belongs to; none for roots, tests and the other package.
fn module_of(path: &str) -> Option<&str> {
    let first = path.strip_prefix("src/")?.split('/').next()?;
    let module = first.strip_suffix(".rs").unwrap_or(first);
    (!matches!(module, "lib" | "main")).then_some(module)
}

/// The modules that a source names, with the line: after `crate::`, or at the top of the braces of `crate::{...}`.
fn imports(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        let line_start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
        if text[line_start..at].trim_start().starts_with("//") {
            continue;
        }
        let number = text[..at].matches('\n').count() + 1;
        let rest = &text[at + "crate::".len()..];
        let Some(list) = rest.strip_prefix('{') else {
            found.push((number, word(rest)));
            continue;
        };
        let (mut depth, mut starts) = (0, true);
        for (at, c) in list.char_indices() {
            match c {
                '}' if depth == 0 => break,
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => starts = true,
                _ if starts && !c.is_whitespace() => {
                    found.push((number, word(&list[at..])));
                    starts = false;
                }
                _ => {}
            }
        }
    }
    found.retain(|(_, name)| name.starts_with(|c: char| c.is_ascii_lowercase()));
    found
}

fn word(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    &text[..end.unwrap_or(text.len())]
}

#[test]
fn the_import_check_sees_what_it_should() {
    let names = |text| {
        imports(text)
            .into_iter()
            .map(|(_, name)| name)
            .collect::<Vec<_>>()
    };
    assert_eq!(names("use crate::event::{Event, Seq};"), ["event"]);
    let list = "use crate::{\n    config::{a, b},\n    event,\n};\nuse other::{x};";
    assert_eq!(names(list), ["config", "event"]);
    assert_eq!(
        names("let x = crate::relay::run(crate::wal());"),
        ["relay", "wal"]
    );
    assert!(names("    /// see [`crate::daemon`]").is_empty());
    assert_eq!(imports("\n\nuse crate::api;"), [(3, "api")]);
    assert_eq!(module_of("src/config/mod.rs"), Some("config"));
    assert_eq!(module_of("src/failure.rs"), Some("failure"));
    assert_eq!(module_of("src/main.rs"), None);
}

#[test]
fn imports_of_the_log_point_down() {
    let sources = sources();
    let folder_and_name = |path: &str| -> Option<(String, String)> {
        let mut parts = path.strip_prefix("wal/src/")?.split('/');
        let (folder, file) = (parts.next()?, parts.next()?);
        let name = file.strip_suffix(".rs").unwrap_or(file);
        Some((folder.to_owned(), name.to_owned()))
    };
    let level_of = |folder: &str| LOG_LEVELS.iter().position(|it| it.contains(&folder));
    let mut levels = BTreeMap::new();
    for source in &sources {
        if let Some((folder, name)) = folder_and_name(&source.path)
            && let Some(level) = level_of(&folder)
        {
            levels.insert(name, level);
        }
    }
    assert!(levels.len() > 30, "the log is not where it was");
    let mut wrong = Vec::new();
    let mut allowed = LOG_UPWARD.map(|(file, module, _)| (file, module)).to_vec();
    for source in sources.iter().filter(|it| !it.path.contains("test")) {
        let Some((folder, name)) = folder_and_name(&source.path) else {
            continue;
        };
        let Some(level) = level_of(&folder) else {
            continue;
        };
        let file = format!("{folder}/{name}.rs");
        for (number, import) in imports(without_tests(&source.text)) {
            if levels.get(import).is_none_or(|other| *other <= level) {
                continue;
            }
            if LOG_UPWARD
                .iter()
                .any(|(from, to, _)| (*from, *to) == (&file, import))
            {
                allowed.retain(|it| *it != (&file, import));
            } else {
                wrong.push(format!("{}:{number}: imports {import}", source.path));
            }
        }
    }
    none("imports of the log that point up", wrong);
    let unused = allowed.iter().map(|it| format!("{it:?}")).collect();
    none("exceptions that nothing needs any more", unused);
}

#[test]
fn what_calls_itself_pure_is() {
    let mut pure = 0;
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|it| says_pure(&it.text)) {
        pure += 1;
        for (number, line) in without_tests(&source.text).lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if IMPURE.iter().any(|word| code.contains(word)) {
                wrong.push(format!("{}:{}: {}", source.path, number + 1, line.trim()));
            }
        }
    }
    assert!(pure > 20, "only {pure} pure files were found");
    none("files that are not as pure as they say", wrong);
}

/// Whether the doc of a file says "Pure." or "Pure:"; one that is pure but for something says so and is not meant.
fn says_pure(text: &str) -> bool {
    let doc = text.lines().take_while(|line| line.starts_with("//!"));
    doc.flat_map(|line| line.split_whitespace())
        .any(|word| matches!(word, "Pure." | "Pure:"))
}

/// A source up to the tests at its end.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod ").next().unwrap_or_default()
}

#[test]
fn the_purity_check_sees_what_it_should() {
    assert!(says_pure("//! A rule. Pure.\n"));
    assert!(says_pure("//! Rule.\n//!\n//! Pure: no clock.\n"));
    assert!(!says_pure("//! Pure, but for files.\n"));
    assert!(!says_pure("//! Files.\n\n/// Pure.\nfn a() {}\n"));
    assert_eq!(without_tests("a\n#[cfg(test)]\nmod tests {}"), "a\n");
}

#[test]
fn every_dependency_has_its_reason_in_architecture() {
    let Ok(text) = fs::read_to_string(root().join("ARCHITECTURE.md")) else {
        println!("SKIPPED: ARCHITECTURE.md is not written yet");
        return;
    };
    let mut missing = Vec::new();
    for manifest in ["Cargo.toml", "wal/Cargo.toml"] {
        let manifest = fs::read_to_string(root().join(manifest)).expect("a manifest");
        let table: toml::Table = manifest.parse().expect("TOML");
        for kind in ["dependencies", "dev-dependencies"] {
            let Some(dependencies) = table.get(kind).and_then(toml::Value::as_table) else {
                continue;
            };
            let names = dependencies.keys();
            missing.extend(
                names
                    .filter(|name| !text.contains(&format!("`{name}`")))
                    .cloned(),
            );
        }
    }
    none("dependencies that ARCHITECTURE.md does not name", missing);
}
