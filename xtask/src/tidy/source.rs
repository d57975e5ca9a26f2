//! What the checks read: the files that git tracks, and the tokens of Rust source.

use std::fs;

use anyhow::{Result, anyhow};
use cargo_metadata::Metadata;
use cargo_metadata::camino::Utf8PathBuf;
use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use xshell::{Shell, cmd};

/// The repository as the checks see it.
pub(super) struct Tree {
    pub(super) files: Vec<File>,
    pub(super) workspace: Metadata,
}

/// A text file.
pub(super) struct File {
    /// From the repository's root.
    pub(super) path: Utf8PathBuf,
    pub(super) text: String,
    /// Empty unless it is Rust source.
    pub(super) tokens: Vec<Token>,
}

/// An identifier, a literal, a delimiter or one character of punctuation; never part of a comment.
#[derive(Debug)]
pub(super) struct Token {
    pub(super) line: usize,
    pub(super) text: String,
}

impl Tree {
    /// Reads what git tracks, and what it would track after `git add --all`.
    pub(super) fn read(workspace: &Metadata) -> Result<Self> {
        let sh = Shell::new()?;
        let root = &workspace.workspace_root;
        sh.change_dir(root);
        let list = cmd!(sh, "git ls-files --cached --others --exclude-standard").quiet().read()?;
        let mut files = Vec::new();
        for path in list.lines() {
            // Deleted but not yet staged, or not text.
            let Ok(text) = fs::read_to_string(root.join(path)) else { continue };
            files.push(File::new(path, text)?);
        }
        Ok(Self { files, workspace: workspace.clone() })
    }

    pub(super) fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }
}

impl File {
    pub(super) fn new(path: &str, text: String) -> Result<Self> {
        let path = Utf8PathBuf::from(path);
        let tokens = match path.extension() {
            Some("rs") => tokens(&text).map_err(|error| anyhow!("{path}: {error}"))?,
            _ => Vec::new(),
        };
        Ok(Self { path, text, tokens })
    }

    /// The lines with their numbers, from 1.
    pub(super) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.text.lines())
    }

    /// Every run of `N` tokens, as their texts, with the line of the first.
    pub(super) fn runs<const N: usize>(&self) -> impl Iterator<Item = (usize, [&str; N])> {
        self.tokens.array_windows::<N>().map(|run| {
            (run.first().map_or(1, |token| token.line), run.each_ref().map(|t| t.text.as_str()))
        })
    }
}

/// The words of a text: what stands between characters that no identifier has.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_')
}

fn tokens(source: &str) -> Result<Vec<Token>, proc_macro2::LexError> {
    let mut tokens = Vec::new();
    flatten(source.parse()?, &mut tokens);
    Ok(tokens)
}

fn flatten(stream: TokenStream, tokens: &mut Vec<Token>) {
    for tree in stream {
        let line = tree.span().start().line;
        let TokenTree::Group(group) = tree else {
            tokens.push(Token { line, text: tree.to_string() });
            continue;
        };
        if is_doc(&group) {
            continue;
        }
        let (open, close) = match group.delimiter() {
            Delimiter::Parenthesis => ("(", ")"),
            Delimiter::Brace => ("{", "}"),
            Delimiter::Bracket => ("[", "]"),
            Delimiter::None => ("", ""),
        };
        tokens.push(Token { line, text: open.into() });
        flatten(group.stream(), tokens);
        tokens.push(Token { line: group.span_close().start().line, text: close.into() });
    }
}

/// Whether this is the inside of an attribute `doc`, as which doc comments arrive.
fn is_doc(group: &Group) -> bool {
    let first = group.stream().into_iter().next();
    group.delimiter() == Delimiter::Bracket
        && matches!(first, Some(TokenTree::Ident(name)) if name == "doc")
}
