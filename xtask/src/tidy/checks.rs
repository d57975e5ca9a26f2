//! The checks, one function each.

use std::collections::BTreeSet;
use std::fmt;

use cargo_metadata::camino::{Utf8Path, Utf8PathBuf};
use cargo_metadata::{DependencyKind, Package};

use super::source::{File, Tree, words};

/// Looks at the whole tree for one kind of violation.
type Check = fn(&Tree) -> Vec<Violation>;

pub(super) const CHECKS: &[Check] = &[
    unsafe_only_in_leaves,
    lines_fit,
    tasks_have_issues,
    no_dead_files,
    bounds_have_units,
    zswap_depends_on_core_alone,
    zswap_names_no_algorithm,
    kernel_map_is_complete,
    kernel_map_is_true,
    readme_excerpts_are_true,
    no_machine_paths,
];

/// Where the tree breaks a rule.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Violation {
    path: Utf8PathBuf,
    line: usize,
    message: String,
}

impl Violation {
    fn new(path: impl AsRef<Utf8Path>, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.as_ref().into(), line, message: message.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

/// Unsafe code stays in few small leaves, each listed here once it has been measured to pay.
fn unsafe_only_in_leaves(tree: &Tree) -> Vec<Violation> {
    let admitted = [UNSAFE_LEAVES, UNSAFE_BINDINGS].concat();
    let outside = tree.files.iter().filter(|file| !admitted.contains(&file.path.as_str()));
    outside
        .flat_map(|file| file.tokens.iter().map(move |token| (file, token)))
        .filter(|(_, token)| token.text == "unsafe")
        .map(|(file, token)| Violation::new(&file.path, token.line, "unsafe outside the leaves"))
        .collect()
}

/// Two files fit side by side on one screen. rustfmt leaves comments and strings as they are.
fn lines_fit(tree: &Tree) -> Vec<Violation> {
    let is_fixed = |file: &File, line: &str| {
        file.path.extension() == Some("md") && (line.starts_with('|') || line.contains("://"))
    };
    let checked = |file: &&File| {
        file.path.extension().is_some_and(|extension| WRAPPED_EXTENSIONS.contains(&extension))
    };
    per_line(tree.files.iter().filter(checked), |file, line| {
        let columns = line.chars().count();
        (columns > LINE_COLUMNS_MAX && !is_fixed(file, line))
            .then(|| format!("{columns} columns, at most {LINE_COLUMNS_MAX}"))
    })
}

/// A task that no issue tracks is forgotten.
fn tasks_have_issues(tree: &Tree) -> Vec<Violation> {
    let has_issue = |rest: &str| {
        let number = rest.strip_prefix("(#").and_then(|rest| rest.split_once(')'));
        number.is_some_and(|(number, _)| number.parse::<u32>().is_ok())
    };
    per_line(&tree.files, |_, line| {
        let found = |mark: &&&str| {
            line.match_indices(**mark).any(|(at, _)| {
                let (before, rest) = (&line[..at], &line[at + mark.len()..]);
                !before.ends_with(is_word) && !rest.starts_with(is_word) && !has_issue(rest)
            })
        };
        let mark = TASK_MARKS.iter().find(found)?;
        Some(format!("{mark} without an issue: write {mark}(#12)"))
    })
}

/// A source file that no `mod` names compiles nowhere: its code and tests only look alive.
fn no_dead_files(tree: &Tree) -> Vec<Violation> {
    let root = &tree.workspace.workspace_root;
    let targets = tree.workspace.workspace_packages().into_iter().flat_map(|p| &p.targets);
    let mut pending: Vec<Utf8PathBuf> = targets
        .filter_map(|target| target.src_path.strip_prefix(root).ok())
        .map(Utf8PathBuf::from)
        .chain(OUTSIDE_ROOTS.iter().map(Utf8PathBuf::from))
        .collect();
    let mut alive: BTreeSet<Utf8PathBuf> = pending.iter().cloned().collect();
    let roots = alive.clone();
    while let Some(path) = pending.pop() {
        let Some(file) = tree.file(path.as_str()) else { continue };
        let found = module_files(file, roots.contains(&path));
        pending.extend(found.into_iter().filter(|path| alive.insert(path.clone())));
    }
    let sources = tree.files.iter().map(|file| &file.path).filter(|path| {
        path.extension() == Some("rs") && path.components().any(|part| part.as_str() == "src")
    });
    let dead = sources.filter(|path| !alive.contains(*path));
    dead.map(|path| Violation::new(path, 1, "no mod declaration leads here")).collect()
}

/// The files in which a file's out-of-line modules may lie, both spellings.
fn module_files(file: &File, is_root: bool) -> Vec<Utf8PathBuf> {
    let dir = match (is_root, file.path.file_name()) {
        (true, _) | (_, Some("mod.rs")) => file.path.with_file_name(""),
        _ => file.path.with_extension(""),
    };
    let declared = file.runs().filter(|(_, [keyword, _, end])| (*keyword, *end) == ("mod", ";"));
    declared
        .flat_map(|(_, [_, name, _])| [format!("{name}.rs"), format!("{name}/mod.rs")])
        .map(|name| dir.join(name))
        .collect()
}

/// A bound without a unit gets compared with something else.
fn bounds_have_units(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for file in &tree.files {
        for (line, [keyword, name, colon, of]) in file.runs() {
            let is_number = NUMBERS.contains(&of);
            if (keyword, colon) == ("const", ":") && is_number && lacks_unit(name) {
                let message = format!("{name} is a bound without a unit in its name");
                found.push(Violation::new(&file.path, line, message));
            }
        }
    }
    found
}

fn lacks_unit(name: &str) -> bool {
    let has = |wanted: &[&str]| name.split('_').any(|part| wanted.contains(&part));
    has(BOUNDS) && !has(UNITS) && !UNITLESS_BOUNDS.contains(&name)
}

/// zswap proves that a consumer needs the abstraction only: of the workspace's crates it builds on
/// acomp-core alone. Its tests may link drivers.
fn zswap_depends_on_core_alone(tree: &Tree) -> Vec<Violation> {
    let packages = tree.workspace.workspace_packages();
    let is_ours = |name: &str| packages.iter().any(|package| package.name == name);
    let Some(zswap) = packages.iter().find(|package| package.name == "zswap") else {
        return vec![Violation::new("Cargo.toml", 1, "no package zswap")];
    };
    let foreign = zswap.dependencies.iter().filter(|dependency| {
        let admitted = match dependency.kind {
            DependencyKind::Development => ZSWAP_DEV_DEPENDENCIES,
            _ => ZSWAP_DEPENDENCIES,
        };
        is_ours(&dependency.name) && !admitted.contains(&dependency.name.as_str())
    });
    let message = |name: &str| format!("zswap must not depend on {name}");
    foreign.map(|on| Violation::new("zswap/Cargo.toml", 1, message(&on.name))).collect()
}

/// zswap works with every driver because it knows none.
fn zswap_names_no_algorithm(tree: &Tree) -> Vec<Violation> {
    let sources = tree.files.iter().filter(|file| file.path.starts_with("zswap/src"));
    let mut found = Vec::new();
    for file in sources {
        for token in &file.tokens {
            let text = token.text.to_lowercase();
            let mut parts = text.split(|c: char| !c.is_alphanumeric());
            if let Some(name) = parts.find(|part| ALGORITHMS.contains(part)) {
                let message = format!("zswap names the algorithm {name}");
                found.push(Violation::new(&file.path, token.line, message));
            }
        }
    }
    found
}

/// Who comes from the kernel finds each symbol's counterpart.
fn kernel_map_is_complete(tree: &Tree) -> Vec<Violation> {
    let named: BTreeSet<&str> =
        tree.file(KERNEL_MAP).into_iter().flat_map(|f| words(&f.text)).collect();
    let missing = KERNEL_SYMBOLS.iter().filter(|symbol| !named.contains(**symbol));
    missing.map(|symbol| Violation::new(KERNEL_MAP, 1, format!("lacks {symbol}"))).collect()
}

/// A map to items that were renamed leads nowhere: each part of an item path in backticks stands in
/// the source of the crate it starts with.
fn kernel_map_is_true(tree: &Tree) -> Vec<Violation> {
    let Some(map) = tree.file(KERNEL_MAP) else { return Vec::new() };
    let mut found = Vec::new();
    for (line, text) in map.lines() {
        for path in text.split('`').skip(1).step_by(2) {
            let Some((package, items)) = item_path(tree, path) else { continue };
            let dir = package.manifest_path.with_file_name("src");
            let dir = dir.strip_prefix(&tree.workspace.workspace_root).unwrap_or(&dir);
            let defined: BTreeSet<&str> = tree
                .files
                .iter()
                .filter(|file| file.path.starts_with(dir))
                .flat_map(|file| file.tokens.iter().map(|token| token.text.as_str()))
                .collect();
            if let Some(item) = items.iter().find(|item| !defined.contains(**item)) {
                let message = format!("`{path}`: {} has no {item}", package.name);
                found.push(Violation::new(KERNEL_MAP, line, message));
            }
        }
    }
    found
}

/// Splits `acomp_core::Session::run(..)` into the workspace's package and `["Session", "run"]`.
fn item_path<'t, 'p>(tree: &'t Tree, path: &'p str) -> Option<(&'t Package, Vec<&'p str>)> {
    let (krate, items) = path.split_once("::")?;
    let mut packages = tree.workspace.workspace_packages().into_iter();
    let package = packages.find(|package| package.name.replace('-', "_") == krate)?;
    let items = items.split("::").filter_map(|item| words(item).find(|word| !word.is_empty()));
    Some((package, items.collect()))
}

/// Code in the README that no compiler sees is an excerpt of the example, which it does see.
fn readme_excerpts_are_true(tree: &Tree) -> Vec<Violation> {
    let Some(readme) = tree.file(README) else { return Vec::new() };
    let sources: Vec<_> =
        tree.files.iter().filter(|file| file.path.starts_with(README_EXAMPLE)).collect();
    let mut found = Vec::new();
    for (at, fence) in readme.text.match_indices(UNSEEN_CODE) {
        let code = &readme.text[at + fence.len()..];
        let code = code.split_once("```").map_or(code, |(code, _)| code);
        if !sources.iter().any(|file| file.text.contains(code)) {
            let line = readme.text[..at].lines().count() + 1;
            found.push(Violation::new(README, line, format!("not in {README_EXAMPLE}")));
        }
    }
    found
}

/// What holds on one machine only means nothing to who clones the repository.
fn no_machine_paths(tree: &Tree) -> Vec<Violation> {
    per_line(&tree.files, |_, line| {
        let path = MACHINE_PATHS.iter().find(|path| line.contains(**path))?;
        Some(format!("names a place of one machine, {path}"))
    })
}

fn per_line<'t>(
    files: impl IntoIterator<Item = &'t File>,
    check: impl Fn(&File, &str) -> Option<String>,
) -> Vec<Violation> {
    let mut found = Vec::new();
    for file in files {
        for (line, text) in file.lines() {
            found
                .extend(check(file, text).map(|message| Violation::new(&file.path, line, message)));
        }
    }
    found
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Files that may hold unsafe code: DESIGN.md has what it gains.
pub(crate) const UNSAFE_LEAVES: &[&str] = &[
    "acomp-core/src/slot.rs",
    "page-codec/src/deflate/decode/cpu.rs",
    "page-codec/src/deflate/raw.rs",
    "page-codec/src/lz4/raw.rs",
    "zswap-pager/src/raw/memory.rs",
    "zswap-pager/src/raw/signal.rs",
    "zswap-pager/src/raw/thread.rs",
    "zswap-pager/src/raw/uffd.rs",
    "zswap/src/zsmalloc/mem.rs",
];
/// Bindings to C libraries, which nothing but tests and benchmarks loads.
const UNSAFE_BINDINGS: &[&str] = &[
    "peers/src/isal.rs",
    "peers/src/libdeflate.rs",
    "peers/src/liblz4.rs",
    "peers/src/library.rs",
    "peers/src/zlib.rs",
];

/// The roots of crates outside of the workspace, whose metadata does not tell of them.
const OUTSIDE_ROOTS: &[&str] =
    &["examples/author/src/lib.rs", "examples/author/src/main.rs", "fuzz/src/lib.rs"];

const LINE_COLUMNS_MAX: usize = 100;
const WRAPPED_EXTENSIONS: &[&str] = &["md", "py", "rs", "sh", "toml"];

// Spelled in two halves, or this file would break its own rule.
const TASK_MARKS: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME")];
const MACHINE_PATHS: &[&str] = &[concat!("/wo", "rk/"), concat!("../", "shared")];

const BOUNDS: &[&str] = &["LIMIT", "MAX", "MIN"];
const NUMBERS: &[&str] = &[
    "f32",
    "f64",
    "i8",
    "i16",
    "i32",
    "i64",
    "i128",
    "isize",
    "u8",
    "u16",
    "u32",
    "u64",
    "u128",
    "usize",
    "NonZeroU16",
    "NonZeroU32",
    "NonZeroU64",
    "NonZeroU8",
    "NonZeroUsize",
];
const UNITS: &[&str] = &[
    "BITS",
    "BUCKETS",
    "BYTES",
    "CHAINS",
    "COLUMNS",
    "COMPRESSORS",
    "ENTRIES",
    "FAILURES",
    "LEASES",
    "LEVELS",
    "LOG",
    "MS",
    "NS",
    "OBJECTS",
    "OPS",
    "PAGES",
    "PARTITIONS",
    "PERCENT",
    "ROUNDS",
    "SPINS",
    "SYMBOLS",
    "THREADS",
    "TRIES",
    "US",
];
/// The kernel's own word, whose unit is known; the range of C's `int`.
const UNITLESS_BOUNDS: &[&str] = &["MAX_BATCH", "C_INT_MAX"];

const ZSWAP_DEPENDENCIES: &[&str] = &["acomp-core"];
const ZSWAP_DEV_DEPENDENCIES: &[&str] = &["acomp-core", "acomp-algs", "acomp-iaa", "acomp-testmgr"];
/// Generic names, and the libraries that drivers are named after.
const ALGORITHMS: &[&str] =
    &["842", "deflate", "flate2", "libzstd", "lz4", "lz4hc", "lzo", "lzzzz", "zlib", "zstd"];

const README: &str = "README.md";
const README_EXAMPLE: &str = "examples/author";
const UNSEEN_CODE: &str = "```rust,ignore\n";

const KERNEL_MAP: &str = "docs/kernel-map.md";
const KERNEL_SYMBOLS: &[&str] = &[
    "CRYPTO_ACOMP_REQ_POLL",
    "acomp_do_async_req_chain",
    "acomp_do_req_chain",
    "acomp_is_reqchain",
    "acomp_reqchain_init",
    "acomp_request_chain",
    "crypto_acomp_batch_size",
    "crypto_acomp_compress",
    "crypto_alloc_acomp",
    "crypto_register_scomp",
    "zswap_invalidate",
    "zswap_load",
    "zswap_store",
];

#[cfg(test)]
mod tests {
    use cargo_metadata::MetadataCommand;

    use super::*;

    #[test]
    fn unsafe_counts_as_a_keyword_only() {
        let tree = tree(&[
            ("a/src/lib.rs", "#![forbid(unsafe_code)]\n// unsafe\nconst A: &str = \"unsafe\";"),
            ("a/src/b.rs", "\n\nunsafe fn f() {}"),
        ]);
        assert_eq!(places(&unsafe_only_in_leaves(&tree)), ["a/src/b.rs:3"]);
    }

    #[test]
    fn columns_are_characters_and_tables_and_links_are_exempt() {
        let (fits, wide) = ("é".repeat(100), "e".repeat(101));
        let tree = tree(&[
            ("a.md", &format!("{fits}\n|{wide}\nhttps://{wide}\n{wide}")),
            ("a.toml", &format!("|{wide}")),
            ("a.lock", &wide),
        ]);
        assert_eq!(places(&lines_fit(&tree)), ["a.md:4", "a.toml:1"]);
    }

    #[test]
    fn tasks_need_an_issue() {
        let [todo, fixme] = TASK_MARKS else { panic!("two marks") };
        let text = format!("{todo}(#12): a\n{todo}: b\nx{todo}S\n{fixme}(me)\n{todo}(#1) {todo}");
        let tree = tree(&[("a.md", &text)]);
        assert_eq!(places(&tasks_have_issues(&tree)), ["a.md:2", "a.md:4", "a.md:5"]);
    }

    #[test]
    fn files_without_a_mod_are_dead() {
        let tree = tree(&[
            ("zswap/src/lib.rs", "mod a;\nmod b;\n// mod c;\nmod d { }"),
            ("zswap/src/a.rs", "#[cfg(test)]\nmod tests;"),
            ("zswap/src/a/tests.rs", ""),
            ("zswap/src/b/mod.rs", "mod e;"),
            ("zswap/src/b/e.rs", ""),
            ("zswap/src/c.rs", "mod f;"),
            ("zswap/src/c/f.rs", ""),
            ("zswap/tests/store.rs", ""),
        ]);
        let dead = ["zswap/src/c.rs:1", "zswap/src/c/f.rs:1"];
        assert_eq!(places(&no_dead_files(&tree)), dead);
    }

    #[test]
    fn bounds_name_their_unit() {
        let source = "const A_MAX: usize = 1;
            const A_BYTES_MAX: usize = 1;
            const MIN_RETRIES: u8 = 1;
            pub(crate) const LEVELS_LIMIT: NonZeroU32 = ONE;
            const MAXIMAL: u8 = u8::MAX;
            const A_MAX_NAME: &str = \"\";
            const MAX_BATCH: usize = 64;";
        let tree = tree(&[("a.rs", source)]);
        assert_eq!(places(&bounds_have_units(&tree)), ["a.rs:1", "a.rs:3"]);
    }

    #[test]
    fn zswap_may_name_algorithms_in_comments_only() {
        let source =
            "//! With lz4.\n/// `zstd`\nconst A: &str = \"pcomp(lz4)\";\nuse lzo::B; // 842";
        let tree = tree(&[("zswap/src/a.rs", source), ("zswap/tests/a.rs", "use lz4::C;")]);
        assert_eq!(
            places(&zswap_names_no_algorithm(&tree)),
            ["zswap/src/a.rs:3", "zswap/src/a.rs:4"]
        );
    }

    #[test]
    fn kernel_map_lists_every_symbol_and_items_that_exist() {
        let map = format!(
            "{}\n`acomp_core::Session::run(&[Op])` `std::fmt` acomp_core::A\n`acomp_core::Lost`",
            KERNEL_SYMBOLS[1..].join(" ")
        );
        let tree = tree(&[
            (KERNEL_MAP, &map),
            ("acomp-core/src/lib.rs", "pub use handle::Session; // Lost"),
            ("acomp-core/src/handle.rs", "impl Session { pub fn run() {} }"),
        ]);
        let lacking = kernel_map_is_complete(&tree);
        assert_eq!(lacking.len(), 1);
        assert!(lacking[0].message.contains(KERNEL_SYMBOLS[0]));
        assert_eq!(places(&kernel_map_is_true(&tree)), ["docs/kernel-map.md:3"]);
    }

    #[test]
    fn excerpts_of_the_readme_stand_in_the_example() {
        let tree = tree(&[
            (README, "```rust,ignore\nfn a() {}\n```\n```rust,ignore\nfn b() {}\n```\n"),
            ("examples/author/src/lib.rs", "fn a() {}\nfn b() { }\n"),
            ("zswap/src/lib.rs", "fn b() {}\n"),
        ]);
        assert_eq!(places(&readme_excerpts_are_true(&tree)), ["README.md:4"]);
    }

    fn tree(files: &[(&str, &str)]) -> Tree {
        let files = files.iter().map(|(path, text)| File::new(path, (*text).into()).unwrap());
        let workspace = MetadataCommand::new().no_deps().exec().unwrap();
        Tree { files: files.collect(), workspace }
    }

    fn places(violations: &[Violation]) -> Vec<String> {
        violations.iter().map(|v| format!("{}:{}", v.path, v.line)).collect()
    }
}
