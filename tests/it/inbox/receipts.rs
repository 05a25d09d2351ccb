//! The bounds of receipts.
