//! Tests of the wire face.
