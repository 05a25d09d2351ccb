//! The trace of a request, by the header `traceparent`: <https://www.w3.org/TR/trace-context/#traceparent-header>.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use tracing::Span;

/// The name of the header.
pub(super) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The bytes of a header of version 0: `00-TRACE-PARENT-FLAGS`.
const HEADER_BYTES: usize = 55;

/// The fields of version 0: their place, and true when zeros alone are no value.
const FIELDS: [(usize, usize, bool); 4] = [
    (0, 2, false),
    (3, 35, true),
    (36, 52, true),
    (53, 55, false),
];

/// The version that no header has.
const NO_VERSION: &[u8] = b"ff";

/// Returns a request's trace, 32 digits, if the request has a valid one.
pub fn trace_id(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(TRACEPARENT).iter();
    let header = fields(values.next()?)?;
    let (from, to, _) = FIELDS[1];
    values.next().is_none().then(|| &header[from..to])
}

/// Makes a span a part of the request's trace, where spans are exported.
pub fn join(span: Span, headers: &HeaderMap) -> Span {
    #[cfg(feature = "otel")]
    if trace_id(headers).is_some()
        && let Some(header) = headers.get(TRACEPARENT).and_then(fields)
    {
        parent::set(&span, header);
    }
    #[cfg(not(feature = "otel"))]
    let _ = headers;
    span
}

/// The parents of exported spans.
#[cfg(feature = "otel")]
mod parent {
    use opentelemetry::{
        Context,
        trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState},
    };
    use tracing::Span;
    use tracing_opentelemetry::OpenTelemetrySpanExt;

    use super::FIELDS;

    /// Sets the parent of a span, by a valid header.
    pub(super) fn set(span: &Span, header: &str) {
        let [_, trace, parent, flags] = FIELDS.map(|(from, to, _)| &header[from..to]);
        let (Ok(trace), Ok(parent), Ok(flags)) = (
            TraceId::from_hex(trace),
            SpanId::from_hex(parent),
            u8::from_str_radix(flags, 16),
        ) else {
            return;
        };
        let flags = TraceFlags::new(flags) & TraceFlags::SAMPLED;
        let parent = SpanContext::new(trace, parent, flags, true, TraceState::default());
        // Without a collector there is nobody to tell.
        _ = span.set_parent(Context::new().with_remote_span_context(parent));
    }
}

/// Returns a copy of a valid header for the life of a session, without the parts of later versions.
pub(super) fn kept(headers: &HeaderMap) -> Option<HeaderValue> {
    trace_id(headers)?;
    fields(headers.get(TRACEPARENT)?)?.parse().ok()
}

/// Returns the fields of version 0, which later versions begin with, too.
fn fields(header: &HeaderValue) -> Option<&str> {
    let (known, later) = header.as_bytes().split_at_checked(HEADER_BYTES)?;
    let is_long = match &known[..2] {
        NO_VERSION => return None,
        b"00" => later.is_empty(),
        _ => later.is_empty() || later.starts_with(b"-"),
    };
    let is_field = |(from, to, has_value): (usize, usize, bool)| {
        let (digits, is_last) = (&known[from..to], to == HEADER_BYTES);
        let are_digits = digits
            .iter()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let is_empty = digits.iter().all(|digit| *digit == b'0');
        are_digits && !(has_value && is_empty) && (is_last || known[to] == b'-')
    };
    let is_valid = is_long && FIELDS.into_iter().all(is_field);
    std::str::from_utf8(known).ok().filter(|_| is_valid)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn headers(values: &[&str]) -> HeaderMap {
        let values = values.iter().map(|value| value.parse().unwrap());
        values.map(|value| (TRACEPARENT, value)).collect()
    }

    #[test]
    fn a_valid_header_names_its_trace_and_is_kept_without_what_later_versions_add() {
        for header in [
            VALID.to_owned(),
            format!("cc{}", &VALID[2..]),
            format!("01{}-more", &VALID[2..]),
        ] {
            let headers = headers(&[&header]);
            assert_eq!(trace_id(&headers), Some(TRACE), "{header}");
            assert_eq!(kept(&headers).unwrap(), &header[..HEADER_BYTES]);
        }
    }

    #[test]
    fn an_invalid_header_is_ignored() {
        let change = |from: &str, to: &str| VALID.replace(from, to);
        for header in [
            String::new(),
            "00".into(),
            VALID[..54].into(),
            format!("{VALID}-more"),
            format!("01{}more", &VALID[2..]),
            change("00-", "ff-"),
            change("00-", "0g-"),
            change(TRACE, &TRACE.to_uppercase()),
            change(TRACE, &"0".repeat(32)),
            change("00f067aa0ba902b7", &"0".repeat(16)),
            change("b7-01", "b7_01"),
            change("-01", "-0x"),
            "x".repeat(4_096),
        ] {
            let headers = headers(&[&header]);
            assert_eq!(trace_id(&headers), None, "{header}");
            assert_eq!(kept(&headers), None);
        }
        assert_eq!(trace_id(&headers(&[VALID, VALID])), None);
        assert_eq!(trace_id(&headers(&[])), None);
    }
}
