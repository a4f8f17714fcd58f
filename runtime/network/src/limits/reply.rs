use super::{AMPLIFICATION, Code, Refusal};

/// Keeps a node from being used to flood a stranger: until a peer has proved that it receives at its address, it gets at
/// most three bytes for each of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amplification {
    heard_bytes: u64,
    sent_bytes: u64,
    proved: bool,
}

impl Amplification {
    /// Bytes came from the peer.
    pub fn heard(&mut self, bytes: u64) {
        self.heard_bytes = self.heard_bytes.saturating_add(bytes);
    }

    /// The peer echoed what only its address could know.
    pub fn prove(&mut self) {
        self.proved = true;
    }

    /// Bytes are to go to the peer; they count as sent unless refused.
    ///
    /// # Errors
    /// [`Code::ReplySize`].
    pub fn send(&mut self, bytes: u64) -> Result<(), Refusal> {
        let sent_bytes = self.sent_bytes.saturating_add(bytes);
        if !self.proved && sent_bytes > self.heard_bytes.saturating_mul(AMPLIFICATION) {
            return Err(Code::ReplySize.final_refusal());
        }
        self.sent_bytes = sent_bytes;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_bytes_for_one_until_proved() {
        let mut peer = Amplification::default();
        assert!(peer.send(1).is_err());
        peer.heard(100);
        assert!(peer.send(200).is_ok());
        assert_eq!(peer.send(101).map_err(|r| r.code.name()), Err("reply-size"));
        assert!(peer.send(100).is_ok());
        assert!(peer.send(1).is_err());
        peer.prove();
        assert!(peer.send(u64::MAX).is_ok());
    }
}
