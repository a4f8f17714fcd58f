use identity::AccountId;
use ledger::exposure::Standing;
use sha2::{Digest, Sha256};

use super::{
    Ask, Block, Code, Fingerprint, MAX_CONTROL_BYTES, MAX_DATA_BYTES, Rates, Refusal, Seen, Settings, Short,
    Table, Tier, Timeline,
};

/// A connection, by the number that its node gave it; numbers are not used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// What a frame carries, by size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// Everything but payloads and results.
    Control,
    /// A chunk of a payload or a result.
    Data,
}

impl FrameKind {
    /// Most bytes. The wire checks the length in a frame's head against it before it allocates.
    pub fn max_bytes(self) -> usize {
        match self {
            FrameKind::Control => MAX_CONTROL_BYTES,
            FrameKind::Data => MAX_DATA_BYTES,
        }
    }
}

/// The identity that a connection proved when it was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Who.
    pub account: AccountId,
    /// Whether stake stands behind it.
    pub tier: Tier,
    /// On probation it has a tenth of the rate.
    pub standing: Standing,
}

/// Whether the replay cache is asked for a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Once {
    /// Nobody sends these bytes twice.
    Anywhere,
    /// They do not come twice on one connection; whoever opens another one may send them again.
    OnConnection,
    /// They may come as often as the buckets allow.
    Never,
}

/// A frame that asks to come in.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// Where it came from.
    pub connection: ConnectionId,
    /// The block of the connection's address.
    pub block: Block,
    /// Who proved to be at the other end, if anybody did.
    pub peer: Option<Peer>,
    /// By which its size is limited.
    pub kind: FrameKind,
    /// All of it, signatures too: the replay cache knows it by its hash.
    pub bytes: &'a [u8],
    /// Whether it may come again.
    pub once: Once,
    /// What it costs, in cost units.
    pub units: u64,
    /// Signatures that must be verified.
    pub signatures: u64,
    /// What the device looks like, if its owner consented.
    pub fingerprint: Option<Fingerprint>,
}

impl Frame<'_> {
    /// What the replay cache knows it by.
    fn id(&self) -> Option<[u8; 32]> {
        let hash = Sha256::new_with_prefix(FRAME_DOMAIN);
        let hash = match self.once {
            Once::Never => return None,
            Once::OnConnection => hash.chain_update(self.connection.0.to_le_bytes()),
            Once::Anywhere => hash,
        };
        Some(hash.chain_update(self.bytes).finalize().into())
    }
}

/// What became of frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Refused by size.
    pub oversized: u64,
    /// Hashed to look them up.
    pub hashed: u64,
    /// Refused as seen before.
    pub replayed: u64,
    /// Refused by a bucket.
    pub over_rate: u64,
    /// Signatures that were verified, good or bad.
    pub verifications: u64,
    /// Refused by signature.
    pub bad_signatures: u64,
    /// Let in.
    pub admitted: u64,
}

/// The door: every frame passes its checks in the order of what they cost.
///
/// 1. **Size**: a comparison.
/// 2. **Replay cache**: a hash and a look-up.
/// 3. **Buckets**, units and verifications: identity, connection, address block, fingerprint. All or none is charged.
/// 4. **Signature**: the caller's function, which is called only here.
///
/// A frame with a bad signature has paid all the same, and is not remembered as seen.
#[derive(Clone, Debug)]
pub struct Admission {
    settings: Settings,
    timeline: Timeline,
    seen: Seen,
    unstaked: Tables,
    staked: Tables,
    counters: Counters,
}

impl Admission {
    /// A door by these settings.
    pub fn new(settings: Settings) -> Self {
        Admission {
            timeline: Timeline::default(),
            seen: Seen::new(settings.max_seen_bytes),
            unstaked: Tables::new(&settings, Tier::Unstaked),
            staked: Tables::new(&settings, Tier::Staked),
            counters: Counters::default(),
            settings,
        }
    }

    /// Lets a frame in, or says why not. `verify` checks all its signatures.
    ///
    /// # Errors
    /// The first reason in the order of checks. Of buckets, the first that lacks units, then the first that lacks
    /// verifications; the time to wait is that of the one which takes longest.
    pub fn admit(
        &mut self,
        frame: &Frame<'_>,
        shell_ms: u64,
        verify: impl FnOnce() -> bool,
    ) -> Result<(), Refusal> {
        let now_ms = self.timeline.advance(shell_ms);
        if frame.bytes.len() > frame.kind.max_bytes() {
            self.counters.oversized += 1;
            return Err(Code::FrameSize.final_refusal());
        }
        let id = frame.id();
        self.counters.hashed += u64::from(id.is_some());
        if id.is_some_and(|id| self.seen.contains(&id, now_ms)) {
            self.counters.replayed += 1;
            return Err(Code::Replayed.final_refusal());
        }
        self.charge(frame, now_ms).inspect_err(|_| self.counters.over_rate += 1)?;
        self.counters.verifications = self.counters.verifications.saturating_add(frame.signatures);
        if !verify() {
            self.counters.bad_signatures += 1;
            return Err(Code::BadSignature.final_refusal());
        }
        self.counters.admitted += 1;
        if let Some(id) = id {
            self.seen.insert(id, frame.block, now_ms);
        }
        Ok(())
    }

    /// What became of the frames so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// How often the shell's clock jumped.
    pub fn clock_jumps(&self) -> u64 {
        self.timeline.jumps()
    }

    /// Buckets held, of all kinds.
    pub fn tracked(&self) -> usize {
        self.unstaked.len() + self.staked.len()
    }

    /// Ids in the replay cache.
    pub fn seen(&self) -> usize {
        self.seen.len()
    }

    fn charge(&mut self, frame: &Frame<'_>, now_ms: u64) -> Result<(), Refusal> {
        let tier = frame.peer.map_or(Tier::Unstaked, |peer| peer.tier);
        let tables = match tier {
            Tier::Gateway => return Ok(()),
            Tier::Unstaked => &mut self.unstaked,
            Tier::Staked => &mut self.staked,
        };
        let identity =
            frame.peer.map(|peer| (peer.account, self.settings.identity_rates(tier, peer.standing)));
        tables.charge(
            Charge {
                identity,
                connection: (frame.connection, self.settings.connection_rates(tier)),
                block: (frame.block, self.settings.block_rates(tier)),
                fingerprint: frame.fingerprint.filter(|_| tier == Tier::Unstaked),
                ask: Ask { units: frame.units, verifications: frame.signatures },
            },
            now_ms,
        )
    }
}

/// The buckets of a tier.
#[derive(Clone, Debug)]
struct Tables {
    identities: Table<AccountId>,
    connections: Table<ConnectionId>,
    blocks: Table<Block>,
    fingerprints: Table<Fingerprint>,
    fingerprint_rates: Rates,
}

/// What a frame is charged on.
struct Charge {
    identity: Option<(AccountId, Rates)>,
    connection: (ConnectionId, Rates),
    block: (Block, Rates),
    fingerprint: Option<Fingerprint>,
    ask: Ask,
}

impl Tables {
    fn new(settings: &Settings, tier: Tier) -> Self {
        let one = settings.identity_rates(tier, Standing::Established);
        Tables {
            identities: Table::new(one, settings.max_tracked),
            connections: Table::new(settings.connection_rates(tier), settings.max_tracked),
            blocks: Table::new(settings.block_rates(tier), settings.max_tracked),
            fingerprints: Table::new(one, settings.max_tracked),
            fingerprint_rates: one,
        }
    }

    fn charge(&mut self, charge: Charge, now_ms: u64) -> Result<(), Refusal> {
        let Charge { identity, connection, block, fingerprint, ask } = charge;
        let rates = self.fingerprint_rates;
        let shorts = [
            identity
                .map(|(who, rates)| (Code::IdentityRate, self.identities.short(&who, rates, now_ms, ask))),
            Some((Code::ConnectionRate, self.connections.short(&connection.0, connection.1, now_ms, ask))),
            Some((Code::BlockRate, self.blocks.short(&block.0, block.1, now_ms, ask))),
            fingerprint.map(|f| (Code::FingerprintRate, self.fingerprints.short(&f, rates, now_ms, ask))),
        ];
        let shorts = shorts.into_iter().flatten();
        let (units, checks): (Vec<_>, Vec<_>) =
            shorts.map(|(code, (units, checks))| ((code, units), (Code::VerificationRate, checks))).unzip();
        refuse(units.into_iter().chain(checks))?;
        if let Some((account, rates)) = identity {
            self.identities.take(account, rates, now_ms, ask);
        }
        self.connections.take(connection.0, connection.1, now_ms, ask);
        self.blocks.take(block.0, block.1, now_ms, ask);
        if let Some(fingerprint) = fingerprint {
            self.fingerprints.take(fingerprint, rates, now_ms, ask);
        }
        Ok(())
    }

    fn len(&self) -> usize {
        self.identities.len() + self.connections.len() + self.blocks.len() + self.fingerprints.len()
    }
}

fn refuse(shorts: impl Iterator<Item = (Code, Option<Short>)>) -> Result<(), Refusal> {
    let mut refusal: Option<(Code, u64)> = None;
    for (code, short) in shorts {
        match short {
            None => {}
            Some(Short::Forever) => return Err(Code::CostAboveBurst.final_refusal()),
            Some(Short::For { ms }) => {
                let (first, longest_ms) = refusal.unwrap_or((code, 0));
                refusal = Some((first, longest_ms.max(ms)));
            }
        }
    }
    match refusal {
        None => Ok(()),
        Some((code, ms)) => Err(Refusal { code, retry_after_ms: Some(ms) }),
    }
}

const FRAME_DOMAIN: &[u8] = b"edgenet/frame/v1";
