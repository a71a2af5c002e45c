//! Kubernetes quantities such as `100Mi`, `1.5G` or `250m`, as whole numbers.
//!
//! Arithmetic is exact: a quantity is digits, a decimal point and a suffix that is a power of two or
//! of ten. Non-goal: writing them in canonical form.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

#[cfg(test)]
mod tests;

/// Returns the value of a quantity in whole units, rounded up, or `None` if it is malformed, negative
/// or above `u64::MAX`.
pub fn whole(quantity: &Quantity) -> Option<u64> {
    let (mantissa, exponent, binary) = split(&quantity.0)?;
    let (digits, fraction) = mantissa;
    let base: u128 = if binary { 2 } else { 10 };
    let scale = 10_u128.checked_pow(fraction)?;
    if exponent >= 0 {
        let factor = base.checked_pow(exponent.unsigned_abs())?;
        u64::try_from(digits.checked_mul(factor)?.div_ceil(scale)).ok()
    } else {
        let divisor = base
            .checked_pow(exponent.unsigned_abs())?
            .checked_mul(scale)?;
        u64::try_from(digits.div_ceil(divisor)).ok()
    }
}

/// Returns true for a well-formed quantity above zero.
pub fn is_positive(quantity: &Quantity) -> bool {
    whole(quantity).is_some_and(|value| value > 0)
}

/// Splits a quantity into (digits, digits after the point), exponent, and whether the base is two.
fn split(text: &str) -> Option<((u128, u32), i32, bool)> {
    let text = text.strip_prefix('+').unwrap_or(text);
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (integer, fraction) = number.split_once('.').unwrap_or((number, ""));
    if integer.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let digits = format!("{integer}{fraction}").parse().ok()?;
    let (exponent, binary) = exponent(suffix)?;
    Some((
        (digits, u32::try_from(fraction.len()).ok()?),
        exponent,
        binary,
    ))
}

/// Returns the exponent of a suffix and whether its base is two.
fn exponent(suffix: &str) -> Option<(i32, bool)> {
    Some(match suffix {
        "Ki" => (10, true),
        "Mi" => (20, true),
        "Gi" => (30, true),
        "Ti" => (40, true),
        "Pi" => (50, true),
        "Ei" => (60, true),
        "n" => (-9, false),
        "u" => (-6, false),
        "m" => (-3, false),
        "" => (0, false),
        "k" => (3, false),
        "M" => (6, false),
        "G" => (9, false),
        "T" => (12, false),
        "P" => (15, false),
        "E" => (18, false),
        _ => {
            let digits = suffix.strip_prefix(['e', 'E'])?;
            (digits.parse().ok()?, false)
        }
    })
}
