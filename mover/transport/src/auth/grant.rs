//! What somebody may do at a daemon, and who that is. Pure.

use std::fmt;
use std::str::FromStr;

use crate::path::RelPath;

/// One kind of thing that can be allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// List, and pull.
    Read,
    /// Push.
    Write,
    /// Delete: by a mirror, or by purge.
    Delete,
}

impl Scope {
    const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Delete];

    /// Returns the word in tokens, certificates and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Delete => "delete",
        }
    }
}

/// A set of scopes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scopes {
    read: bool,
    write: bool,
    delete: bool,
}

/// A list of scopes that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no scope; the scopes are read, write and delete, with commas between them")]
pub struct InvalidScope(String);

impl Scopes {
    /// Returns all scopes.
    pub fn all() -> Self {
        Scope::ALL.into_iter().collect()
    }

    /// Returns true if the scope is in the set.
    pub fn has(self, scope: Scope) -> bool {
        match scope {
            Scope::Read => self.read,
            Scope::Write => self.write,
            Scope::Delete => self.delete,
        }
    }

    /// Returns the words of the scopes in the set.
    pub fn words(self) -> Vec<&'static str> {
        let held = Scope::ALL.into_iter().filter(|scope| self.has(*scope));
        held.map(Scope::as_str).collect()
    }

    /// Parses words with `separator` between them; at least one.
    pub(super) fn parse(text: &str, separator: char) -> Result<Self, InvalidScope> {
        let scope = |word: &str| {
            let known = Scope::ALL.into_iter().find(|scope| scope.as_str() == word);
            known.ok_or_else(|| InvalidScope(word.chars().take(64).collect()))
        };
        text.split(separator).map(scope).collect()
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<T: IntoIterator<Item = Scope>>(scopes: T) -> Self {
        let mut set = Self::default();
        for scope in scopes {
            match scope {
                Scope::Read => set.read = true,
                Scope::Write => set.write = true,
                Scope::Delete => set.delete = true,
            }
        }
        set
    }
}

impl FromStr for Scopes {
    type Err = InvalidScope;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text, ',')
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words().join(","))
    }
}

/// What is allowed, and where. The default is nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grant {
    /// What.
    pub scopes: Scopes,
    /// Where: this directory below the root of the daemon, and all that is below it.
    pub prefix: RelPath,
}

/// Somebody who proved who they are, and what they may do.
#[derive(Clone, Debug)]
pub struct Principal {
    /// Who, for logs.
    pub name: String,
    /// What they may do.
    pub grant: Grant,
    /// What they proved it with: the certificate (DER), or the bearer token. Data sockets are bound to it.
    pub proof: Vec<u8>,
    /// The token has expired: what was begun with it may go on, and nothing else.
    pub expired: bool,
}

/// Something is not allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The scope is missing.
    #[error(
        "this needs the scope `{}`, and you have {held}; use a token or a certificate that has it (blit serve \
         --identity DIR --issue-token --scope {held},{})", scope.as_str(), scope.as_str()
    )]
    Scope {
        /// What is missing.
        scope: Scope,
        /// What is there.
        held: Scopes,
    },
    /// The path is elsewhere.
    #[error(
        "`{path}` is outside of `{prefix}`, which is all that you may use; name something below it, or use a token or \
         a certificate for a prefix that holds it (blit serve --identity DIR --issue-token --prefix PATH)"
    )]
    Prefix {
        /// The path.
        path: RelPath,
        /// Where it should be.
        prefix: RelPath,
    },
}

impl Grant {
    /// Judges whether something may be done at a path.
    pub fn check(&self, scope: Scope, path: &RelPath) -> Result<(), Denied> {
        if !self.scopes.has(scope) {
            return Err(Denied::Scope {
                scope,
                held: self.scopes,
            });
        }
        if !path.is_within(&self.prefix) {
            return Err(Denied::Prefix {
                path: path.clone(),
                prefix: self.prefix.clone(),
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
