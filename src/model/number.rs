//! Whole numbers in all notations of JSON.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, Unexpected, Visitor},
};

/// The smallest number out of range, 2^64.
const TOO_LARGE: f64 = 18_446_744_073_709_551_616.0;

/// A whole number, 0 or larger. `5`, `5.0` and `5e0` are the same number, as JSON has one kind of
/// numbers: <https://www.rfc-editor.org/rfc/rfc8259#section-6>.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WholeNumber(pub u64);

impl<'de> Deserialize<'de> for WholeNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Numbers)
    }
}

/// Makes a type of whole numbers, 0 or larger, that count up.
macro_rules! counter {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize,
            serde::Deserialize,
        )]
        #[serde(try_from = "WholeNumber")]
        pub struct $name(i64);

        impl $name {
            /// Before the first one.
            pub const ZERO: Self = Self(0);

            /// Returns the next number.
            pub fn next(self) -> Self {
                Self(self.0.saturating_add(1))
            }

            /// Returns the number of numbers after `earlier`, up to and including this one; 0
            /// unless `earlier` is earlier.
            pub fn since(self, earlier: Self) -> usize {
                usize::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0)
            }

            /// Returns the number, as in databases and on the wire.
            pub fn get(self) -> i64 {
                self.0
            }
        }

        impl TryFrom<WholeNumber> for $name {
            type Error = &'static str;

            fn try_from(number: WholeNumber) -> Result<Self, Self::Error> {
                let number = i64::try_from(number.0).map_err(|_| "is too large")?;
                Ok(Self(number))
            }
        }

        impl TryFrom<i64> for $name {
            type Error = &'static str;

            fn try_from(number: i64) -> Result<Self, Self::Error> {
                if number >= 0 {
                    Ok(Self(number))
                } else {
                    Err("must not be negative")
                }
            }
        }
    };
}
pub(super) use counter;

struct Numbers;

impl Visitor<'_> for Numbers {
    type Value = WholeNumber;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number, 0 or larger")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<WholeNumber, E> {
        Ok(WholeNumber(number))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<WholeNumber, E> {
        let number = u64::try_from(number)
            .map_err(|_| E::invalid_value(Unexpected::Signed(number), &self))?;
        Ok(WholeNumber(number))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<WholeNumber, E> {
        if number >= TOO_LARGE {
            return Err(E::custom("is too large"));
        }
        if number < 0.0 || number.fract() != 0.0 {
            return Err(E::invalid_value(Unexpected::Float(number), &self));
        }
        Ok(WholeNumber(number as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_notations_of_a_number_are_equal() {
        for (json, number) in [
            ("5", 5),
            ("5.0", 5),
            ("5e0", 5),
            ("0.5e1", 5),
            ("50E-1", 5),
            ("-0", 0),
            ("-0.0", 0),
        ] {
            assert_eq!(
                serde_json::from_str::<WholeNumber>(json).unwrap(),
                WholeNumber(number),
                "{json}"
            );
        }
        for (json, number) in [
            ("18446744073709551615", u64::MAX),
            ("9007199254740993", 9_007_199_254_740_993),
        ] {
            assert_eq!(
                serde_json::from_str::<WholeNumber>(json).unwrap(),
                WholeNumber(number),
                "{json}"
            );
        }
        for json in [
            "-1",
            "5.5",
            "-1.0",
            "1e300",
            "18446744073709551616",
            "1e400",
            "true",
            r#""5""#,
            "[5]",
        ] {
            assert!(serde_json::from_str::<WholeNumber>(json).is_err(), "{json}");
        }
    }
}
