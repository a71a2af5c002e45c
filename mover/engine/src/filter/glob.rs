//! Wildcards: `?` and `[…]` stand for one byte, `*` for any number of bytes, none of them for a slash; `**`
//! stands for anything. A backslash takes the meaning from what follows.
//!
//! All ways to match are followed side by side, so the time is bounded by the lengths of pattern and text,
//! whatever the pattern is.

/// A pattern, ready to match.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Glob {
    /// `None` for what can never match.
    tokens: Option<Vec<Token>>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Token {
    Byte(u8),
    /// Any byte but a slash.
    One,
    /// One of these bytes, none of which is a slash.
    Class(Box<Set>),
    /// Any number of bytes, without a slash.
    Many,
    /// Any number of any bytes.
    All,
}

/// A set of bytes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Set([u64; 4]);

impl Set {
    fn add(&mut self, byte: u8) {
        self.0[usize::from(byte / 64)] |= 1 << (byte % 64);
    }

    fn remove(&mut self, byte: u8) {
        self.0[usize::from(byte / 64)] &= !(1 << (byte % 64));
    }

    fn holds(&self, byte: u8) -> bool {
        self.0[usize::from(byte / 64)] & (1 << (byte % 64)) != 0
    }

    fn add_where(&mut self, holds: impl Fn(u8) -> bool) {
        (0..=u8::MAX)
            .filter(|byte| holds(*byte))
            .for_each(|byte| self.add(byte));
    }
}

impl Glob {
    /// Every byte stands for itself.
    pub(super) fn literal(text: &[u8]) -> Self {
        let tokens = text.iter().copied().map(Token::Byte).collect();
        Self {
            tokens: Some(tokens),
        }
    }

    /// Parses wildcards.
    pub(super) fn new(text: &[u8]) -> Self {
        Self {
            tokens: parse(text),
        }
    }

    /// Returns true if the pattern matches all of these pieces in a row.
    pub(super) fn matches(&self, pieces: &[&[u8]]) -> bool {
        let Some(tokens) = &self.tokens else {
            return false;
        };
        // The part before the first wildcard decides most of the time.
        let mut bytes = pieces.iter().flat_map(|piece| piece.iter().copied());
        let mut first = 0;
        while let Some(Token::Byte(wanted)) = tokens.get(first) {
            if bytes.next() != Some(*wanted) {
                return false;
            }
            first += 1;
        }
        let tokens = &tokens[first..];
        let mut states = vec![false; tokens.len() + 1];
        let mut next = states.clone();
        reach(tokens, &mut states, 0);
        for byte in bytes {
            next.fill(false);
            let mut alive = false;
            for (at, token) in tokens.iter().enumerate().filter(|(at, _)| states[*at]) {
                let to = match token {
                    Token::Byte(wanted) => (*wanted == byte).then_some(at + 1),
                    Token::One => (byte != b'/').then_some(at + 1),
                    Token::Class(set) => set.holds(byte).then_some(at + 1),
                    Token::Many => (byte != b'/').then_some(at),
                    Token::All => Some(at),
                };
                if let Some(to) = to {
                    reach(tokens, &mut next, to);
                    alive = true;
                }
            }
            if !alive {
                return false;
            }
            std::mem::swap(&mut states, &mut next);
        }
        states[tokens.len()]
    }
}

/// Marks a state, and those that follow without a byte.
fn reach(tokens: &[Token], states: &mut [bool], mut at: usize) {
    states[at] = true;
    while matches!(tokens.get(at), Some(Token::Many | Token::All)) {
        at += 1;
        states[at] = true;
    }
}

/// Returns the tokens of a pattern; `None` if it can match nothing, as an unfinished class.
fn parse(text: &[u8]) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        tokens.push(match first {
            b'?' => Token::One,
            b'*' => {
                let more = rest.iter().take_while(|byte| **byte == b'*').count();
                rest = &rest[more..];
                match more {
                    0 => Token::Many,
                    _ => Token::All,
                }
            }
            b'[' => {
                let (set, after) = class(rest)?;
                rest = after;
                Token::Class(Box::new(set))
            }
            b'\\' => {
                let (escaped, after) = rest.split_first()?;
                rest = after;
                Token::Byte(*escaped)
            }
            byte => Token::Byte(*byte),
        });
    }
    Some(tokens)
}

/// Parses a class after its opening bracket. Returns the set and what follows the closing one.
fn class(text: &[u8]) -> Option<(Set, &[u8])> {
    let (negated, mut rest) = match text.split_first()? {
        (b'!' | b'^', after) => (true, after),
        _ => (false, text),
    };
    let mut set = Set::default();
    // Where a range can begin.
    let mut from = None;
    let mut first = true;
    loop {
        let (byte, after) = rest.split_first()?;
        rest = after;
        match byte {
            b']' if !first => break,
            b'-' if from.is_some() && rest.first().is_some_and(|next| *next != b']') => {
                let (mut to, mut after) = rest.split_first()?;
                if *to == b'\\' {
                    (to, after) = after.split_first()?;
                }
                rest = after;
                let low = from.take().unwrap_or(*to);
                set.add_where(|byte| (low..=*to).contains(&byte));
            }
            b'[' if rest.first() == Some(&b':') => {
                if let Some((name, after)) = named(&rest[1..]) {
                    set.add_where(posix(name)?);
                    rest = after;
                    from = None;
                } else {
                    set.add(b'[');
                    from = Some(b'[');
                }
            }
            b'\\' => {
                let (escaped, after) = rest.split_first()?;
                rest = after;
                set.add(*escaped);
                from = Some(*escaped);
            }
            byte => {
                set.add(*byte);
                from = Some(*byte);
            }
        }
        first = false;
    }
    if negated {
        set.0 = set.0.map(|word| !word);
    }
    set.remove(b'/');
    Some((set, rest))
}

/// Splits off the name of a class in a class, `alpha:]`.
fn named(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().position(|byte| *byte == b']')?;
    let name = text[..end].strip_suffix(b":")?;
    Some((name, &text[end + 1..]))
}

fn posix(name: &[u8]) -> Option<fn(u8) -> bool> {
    Some(match name {
        b"alnum" => |byte| byte.is_ascii_alphanumeric(),
        b"alpha" => |byte| byte.is_ascii_alphabetic(),
        b"blank" => |byte| byte == b' ' || byte == b'\t',
        b"cntrl" => |byte| byte.is_ascii_control(),
        b"digit" => |byte| byte.is_ascii_digit(),
        b"graph" => |byte| byte.is_ascii_graphic(),
        b"lower" => |byte| byte.is_ascii_lowercase(),
        b"print" => |byte| byte.is_ascii_graphic() || byte == b' ',
        b"punct" => |byte| byte.is_ascii_punctuation(),
        b"space" => |byte| byte.is_ascii_whitespace() || byte == 0x0b,
        b"upper" => |byte| byte.is_ascii_uppercase(),
        b"xdigit" => |byte| byte.is_ascii_hexdigit(),
        _ => return None,
    })
}
