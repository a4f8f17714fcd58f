use std::net::IpAddr;

/// The network an address belongs to: an IPv4 /24 or an IPv6 /56, what one customer commonly holds.
///
/// An IPv4 address written as IPv6 (`::ffff:a.b.c.d`) is the IPv4 address, or every host would have two blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Block {
    /// The first 24 bits.
    V4([u8; 3]),
    /// The first 56 bits.
    V6([u8; 7]),
}

impl Block {
    /// The block of an address.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => {
                let [a, b, c, _] = v4.octets();
                Block::V4([a, b, c])
            }
            IpAddr::V6(v6) => {
                let mut bytes = [0; 7];
                bytes.copy_from_slice(&v6.octets()[..7]);
                Block::V6(bytes)
            }
        }
    }

    /// Eight bytes that no other block has: the family, then the prefix, then zeros.
    pub fn to_bytes(self) -> [u8; 8] {
        let mut bytes = [0; 8];
        match self {
            Block::V4(prefix) => {
                bytes[0] = 4;
                bytes[1..4].copy_from_slice(&prefix);
            }
            Block::V6(prefix) => {
                bytes[0] = 6;
                bytes[1..].copy_from_slice(&prefix);
            }
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(text: &str) -> Block {
        Block::of(text.parse().expect("an address"))
    }

    #[test]
    fn neighbours_share_a_block() {
        assert_eq!(block("192.0.2.1"), block("192.0.2.255"));
        assert_ne!(block("192.0.2.1"), block("192.0.3.1"));
        assert_eq!(block("2001:db8:1:2200::1"), block("2001:db8:1:22ff:ffff::"));
        assert_ne!(block("2001:db8:1:2200::1"), block("2001:db8:1:2300::1"));
    }

    #[test]
    fn an_address_has_one_block_however_it_is_written() {
        assert_eq!(block("::ffff:192.0.2.7"), block("192.0.2.7"));
        assert_ne!(block("192.0.2.7").to_bytes(), block("c000:0200::").to_bytes());
    }
}
