//! What can be planted in the reference economy.

/// What a naive ledger gets wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the texts are in `text`")]
pub enum Defect {
    EverybodysEarnings,
    MaxMerge,
    ReplayCounts,
    ReceivesTwice,
    ReceiverSaturates,
    RefundTooLarge,
    RewardsMinted,
    OverdraftWraps,
    LastWriterWins,
    FloatAmounts,
    HalfLife,
    BurnVanishes,
    SlashToAccuser,
    ExpiryTwice,
    RewardsSkipStake,
    PayoutAtOnce,
    ForkKeepsStake,
    CapPerPayment,
    BonusTwice,
    OwnPurse,
    UnbondAtOnce,
    ReferralFromReferee,
    LateDecision,
    StakeLeftBehind,
}

impl Defect {
    /// All of them.
    pub const ALL: &[Defect] = &[
        Defect::EverybodysEarnings,
        Defect::MaxMerge,
        Defect::ReplayCounts,
        Defect::ReceivesTwice,
        Defect::ReceiverSaturates,
        Defect::RefundTooLarge,
        Defect::RewardsMinted,
        Defect::OverdraftWraps,
        Defect::LastWriterWins,
        Defect::FloatAmounts,
        Defect::HalfLife,
        Defect::BurnVanishes,
        Defect::SlashToAccuser,
        Defect::ExpiryTwice,
        Defect::RewardsSkipStake,
        Defect::PayoutAtOnce,
        Defect::ForkKeepsStake,
        Defect::CapPerPayment,
        Defect::BonusTwice,
        Defect::OwnPurse,
        Defect::UnbondAtOnce,
        Defect::ReferralFromReferee,
        Defect::LateDecision,
        Defect::StakeLeftBehind,
    ];

    /// What is wrong.
    pub fn text(self) -> &'static str {
        match self {
            Defect::EverybodysEarnings => "a balance sums what everybody earned",
            Defect::MaxMerge => "spending merged by the larger counter loses the smaller spend",
            Defect::ReplayCounts => "an event that comes again counts again",
            Defect::ReceivesTwice => "a payment stays to be received once more",
            Defect::ReceiverSaturates => "a receiver's balance saturates (at 32 bits)",
            Defect::RefundTooLarge => "the refund is the whole lock, whatever was paid out of it",
            Defect::RewardsMinted => "bonuses are minted instead of paid by the treasury",
            Defect::OverdraftWraps => "an overdraft wraps to riches",
            Defect::LastWriterWins => "of two payments on their way the last writer wins",
            Defect::FloatAmounts => "f32 amounts lose micro-credits",
            Defect::HalfLife => "the e-fold of the bonus is taken for its half-life",
            Defect::BurnVanishes => "what is burned vanishes from the totals",
            Defect::SlashToAccuser => "what is slashed goes to the accuser",
            Defect::ExpiryTwice => "a lock that ran out is taken back twice",
            Defect::RewardsSkipStake => "first rewards can be spent before the stake is full",
            Defect::PayoutAtOnce => "rewards do not wait their hour",
            Defect::ForkKeepsStake => "who forks keeps the stake",
            Defect::CapPerPayment => "the treasury's cap holds for a payment, not for an epoch",
            Defect::BonusTwice => "one reward earns the bonus twice",
            Defect::OwnPurse => "who pays a purse of their own earns the bonus for it",
            Defect::UnbondAtOnce => "stake is called back without waiting",
            Defect::ReferralFromReferee => "the referral share is taken from the referee",
            Defect::LateDecision => "a lock is decided after it ran out",
            Defect::StakeLeftBehind => "stake that comes back from a task is spendable",
        }
    }
}
