//! Arrays as JSON: a number, nested lists, or base64 of little-endian f32.

use serde_json::Value;

/// Numbers with their axes; no axes for a single number.
pub(super) struct Array {
    pub(super) shape: Vec<usize>,
    pub(super) values: Vec<f64>,
}

impl Array {
    /// # Errors
    /// What is wrong with the value, for a message that names it.
    pub(super) fn from_json(value: &Value) -> Result<Self, String> {
        if let Value::Object(object) = value {
            let shape = object.get("shape").and_then(shape_from_json).ok_or("has no shape")?;
            let text = object.get("f32").and_then(Value::as_str).ok_or("has no base64 under f32")?;
            let bytes = base64(text).ok_or("is not base64")?;
            let (words, rest) = bytes.as_chunks();
            let wanted = shape.iter().try_fold(1usize, |product, &n| product.checked_mul(n));
            if wanted != Some(words.len()) || !rest.is_empty() {
                return Err(format!("has {} bytes for the shape {shape:?}", bytes.len()));
            }
            let values = words.iter().map(|&word| f64::from(f32::from_le_bytes(word))).collect();
            return Ok(Self { shape, values });
        }
        let mut array = Self { shape: Vec::new(), values: Vec::new() };
        let mut first = value;
        while let Value::Array(list) = first {
            array.shape.push(list.len());
            first = list.first().unwrap_or(&Value::Null);
        }
        array.append(value, 0)?;
        Ok(array)
    }

    fn append(&mut self, value: &Value, depth: usize) -> Result<(), String> {
        match (value, self.shape.get(depth)) {
            (Value::Array(list), Some(&length)) if list.len() == length => {
                list.iter().try_for_each(|value| self.append(value, depth + 1))
            }
            (Value::Number(number), None) => {
                self.values.push(number.as_f64().ok_or("has a number out of range")?);
                Ok(())
            }
            _ => Err("is neither a number nor nested lists of equal length".into()),
        }
    }
}

/// Axes as a list of numbers.
pub(super) fn shape_from_json(value: &Value) -> Option<Vec<usize>> {
    let list = value.as_array()?;
    list.iter().map(|n| n.as_u64().and_then(|n| usize::try_from(n).ok())).collect()
}

/// RFC 4648 section 4, padded.
fn base64(text: &str) -> Option<Vec<u8>> {
    let (quads, rest) = text.as_bytes().as_chunks::<4>();
    let mut bytes = Vec::with_capacity(3 * quads.len());
    for (at, quad) in quads.iter().enumerate() {
        let pad =
            if at + 1 == quads.len() { quad.iter().rev().take_while(|&&c| c == b'=').count() } else { 0 };
        let digit = |bits: Option<u32>, &c: &u8| Some(bits? << 6 | sextet(c)?);
        let bits = quad[..4 - pad].iter().fold(Some(0), digit)? << (6 * pad);
        if pad > 2 || bits & ((1 << (8 * pad)) - 1) != 0 {
            return None;
        }
        bytes.extend_from_slice(&bits.to_be_bytes()[1..4 - pad]);
    }
    rest.is_empty().then_some(bytes)
}

fn sextet(c: u8) -> Option<u32> {
    Some(u32::from(match c {
        b'A'..=b'Z' => c - b'A',
        b'a'..=b'z' => c - b'a' + 26,
        b'0'..=b'9' => c - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn base64_follows_rfc_4648() {
        let vectors = [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")];
        for (plain, coded) in vectors {
            assert_eq!(base64(coded).as_deref(), Some(plain.as_bytes()), "{coded}");
        }
        for bad in ["Zg", "Zg=", "Zh==", "Z===", "Zg==Zg==", "Zm9%", "===="] {
            assert_eq!(base64(bad), None, "{bad}");
        }
    }

    #[test]
    fn arrays_have_one_shape() {
        let array = Array::from_json(&json!([[1, 2.5, -3], [0, 1e-3, 4]])).unwrap();
        assert_eq!((array.shape, array.values), (vec![2, 3], vec![1.0, 2.5, -3.0, 0.0, 1e-3, 4.0]));
        assert_eq!(Array::from_json(&json!(7)).unwrap().shape, [0usize; 0]);
        let array = Array::from_json(&json!({"shape": [2, 1], "f32": "AACAPwAAAMA="})).unwrap();
        assert_eq!((array.shape, array.values), (vec![2, 1], vec![1.0, -2.0]));
        let bad = [json!([[1], [2, 3]]), json!([1, [2]]), json!("1"), json!([[], 1]), json!([null])];
        for value in bad.into_iter().chain([json!({"shape": [3], "f32": "AACAPwAAAMA="}), json!({"f32": ""})])
        {
            assert!(Array::from_json(&value).is_err(), "{value}");
        }
    }
}
