"""Explains why a contract refused: each custom error with its values, the rule behind it, and what to do."""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping
from typing import Any

from llamafund_chain.amounts import format_share
from llamafund_chain.campaign.terms import MilestoneKind, Status
from llamafund_chain.chain import abi, reverted
from llamafund_chain.chain.coins import format_coin
from llamafund_chain.chain.reverted import ContractRefusedError, Reading
from llamafund_chain.mistakes import ordinal
from llamafund_chain.text import counted, from_millionths, printable
from llamafund_chain.times import duration, when


def explain(data: bytes, reading: Reading, *, message: str = "") -> ContractRefusedError:
    """The error to raise for a revert.

    Args:
        data: Untrusted revert data.
        reading: How to read values.
        message: The node's message, used if the data says nothing.
    """
    for contract in ("Campaign", "CampaignFactory", "CourtArbiter", "DevToken"):
        decoded = abi.contract(contract).decode_error(data)
        if decoded is not None:
            return _known(decoded.name, decoded.values, reading)
    refusal = reverted.explain(data, reading, message=message)
    refusal.remedy = f"Nothing was sent. {_SHOW}"
    return refusal


def _known(name: str, values: Mapping[str, Any], reading: Reading) -> ContractRefusedError:
    shown = {key: _Value(value, reading) for key, value in values.items()}
    sentences = SENTENCES.get(name)
    if sentences is None:
        listed = ", ".join(f"{key} {_Value(value, reading):}" for key, value in values.items())
        return ContractRefusedError(f"The contract refused with {name}", listed, name=name, values=values)
    formatter = string.Formatter()
    what, why, remedy = (formatter.vformat(sentence, (), shown) for sentence in sentences)
    return ContractRefusedError(f"{what} ({name})", why, remedy, name=name, values=values)


_STYLES: Mapping[str, Callable[[int], str]] = {
    "time": when,
    "duration": duration,
    "score": from_millionths,
    "percent": format_share,
    "ordinal": ordinal,
}


class _Value:
    """One value of a custom error, written according to its format."""

    def __init__(self, value: Any, reading: Reading) -> None:
        self._value = value
        self._reading = reading

    def __format__(self, style: str) -> str:
        value = self._value
        if style in _STYLES:
            return _STYLES[style](value)
        if style == "money":
            return self._reading.money(value)
        if style == "coin":
            # Bonds are in the chain's coin, whatever the campaign's asset is.
            return format_coin(value, self._reading.chain_id)
        if style == "from_now":
            distance = value - self._reading.now
            return f"in {duration(distance)}" if distance > 0 else f"{duration(distance)} ago"
        if style == "status":
            return Status(value).label if value < len(Status) else str(value)
        if style == "kind":
            return MilestoneKind(value).name if value < len(MilestoneKind) else str(value)
        if style == "vote":
            return "You have already voted to stop" if value else "You have no vote to retract"
        if style.startswith("count "):
            return counted(value, style.removeprefix("count "))
        if isinstance(value, bytes):
            return value.hex()
        if isinstance(value, str) and value.startswith("0x"):
            from eth_utils import to_checksum_address

            return str(to_checksum_address(value)) if len(value) == 42 else printable(value)
        return printable(str(value), 300)


_SHOW = "See its state with `llamafund campaign show`"

NO_PLEDGE = ("has no pledge in this campaign", "Only backers can do this", "Use the wallet that pledged")
"""What is said about an account that is no backer: who foresees it says the same as the contract."""

WHEN: Mapping[str, str] = {
    "unpledge": "Pledges can be taken back during funding",
    "activate": "A campaign is activated once, during funding",
    "voteStop": "Backers can vote while it is active",
    "challenge": "Chunks can be challenged while it is active",
    "answer": "Challenges can be answered while it is active",
    "extendDeadlines": "Deadlines can be pushed back while it is active",
    "attest": "Milestones are attested while it is active",
    "contest": "The arbiter can contest while it is active",
    "rule": "The arbiter can rule while it is active",
    "collectRefund": "Refunds are open once it has failed",
    "refundTo": "Refunds are open once it has failed",
    "returnBond": "Bonds are returned once it has failed",
}
"""When the campaign takes a call, by its function: its refusal only says in which phase it is."""


def say_when(refusal: ContractRefusedError, function: str) -> None:
    """Add to a refusal for the campaign's phase when the campaign takes the call.

    Args:
        refusal: Changed if it is one.
        function: Which function was called.
    """
    if refusal.name == "Campaign_WrongStatus":
        refusal.why = WHEN.get(function, refusal.why)


SENTENCES: Mapping[str, tuple[str, str, str]] = {
    "Campaign_NotAClone": (
        "This is the implementation, not a campaign",
        "It holds no money and has no terms",
        "Check the address",
    ),
    "Campaign_WrongStatus": ("The campaign is {actual:status}", "This step belongs to another phase", _SHOW),
    "Campaign_NotResearcher": (
        "{caller} is not the campaign's researcher",
        "Only the researcher may do this now",
        "Use the researcher's wallet",
    ),
    "Campaign_NotArbiter": (
        "{caller} is not the campaign's arbiter",
        "Only the arbiter that the terms name may contest or rule, and they may name none",
        "Use the arbiter's wallet; `llamafund campaign show` says who that is",
    ),
    "Campaign_NotPayee": (
        "{caller} is not payee {payee}",
        "Only the payee may claim its share",
        "Use the payee's wallet, or name another number with --payee",
    ),
    "Campaign_NotBacker": (f"{{caller}} {NO_PLEDGE[0]}", *NO_PLEDGE[1:]),
    "Campaign_BadRecipient": (
        "{recipient} cannot receive this",
        "It is the zero address or the campaign itself",
        "Name another recipient",
    ),
    "Campaign_ZeroAmount": (
        "The amount is zero",
        "Or none of the tokens arrived",
        "Name an amount above zero",
    ),
    "Campaign_WrongAsset": (
        "The campaign takes another asset: {asset}",
        "The zero address stands for the chain's coin",
        _SHOW,
    ),
    "Campaign_FundingOver": (
        "Funding ended {fundingDeadline:from_now}, at {fundingDeadline:time}",
        "Pledges are only accepted before it",
        "",
    ),
    "Campaign_CapExceeded": (
        "The pledge would bring the total to {wouldBe:money}",
        "The campaign's cap is {cap:money}",
        "Pledge less",
    ),
    "Campaign_PledgeTooSmall": (
        "The pledge is {pledged:money}",
        "You asked for {requested:money}",
        "Take back at most the pledge",
    ),
    "Campaign_GoalLocked": (
        "This would leave {wouldBe:money}",
        "The goal of {goal:money} is reached, and pledges that hold it are locked in",
        "Take back less, or wait for the outcome",
    ),
    "Campaign_GoalNotMet": (
        "Only {pledged:money} is pledged",
        "The goal is {goal:money}",
        "The campaign can be activated once it is met",
    ),
    "Campaign_FundingOpen": (
        "Funding is open until {fundingDeadline:time} ({fundingDeadline:from_now})",
        "Before that, only the researcher or a full cap can close it",
        "Wait, or ask the researcher",
    ),
    "Campaign_WrongMilestone": (
        "The attestation is for milestone {actual}",
        "The next one is milestone {expected}",
        "Milestones are attested in order",
    ),
    "Campaign_WrongKind": (
        "The attestation's kind is {actual:kind}",
        "This milestone's is {expected:kind}",
        "Attest the right evidence",
    ),
    "Campaign_WindowOpen": (
        "The previous milestone is still in its challenge window until {endsAt:time} ({endsAt:from_now})",
        "The next one can be attested once that one is released",
        "Wait and submit again",
    ),
    "Campaign_AttestationExpired": (
        "The attestation expired {expiry:from_now}, at {expiry:time}",
        "Attestors limit how long their signature is valid",
        "Ask them to sign again",
    ),
    "Campaign_WrongParent": (
        "The attestation's parent is {actual}",
        "The latest evidence on chain is {expected}",
        "It was signed for another campaign or another history: ask the attestors to sign again",
    ),
    "Campaign_WrongDataset": (
        "The attested dataset is {actual}",
        "The terms fix {expected}",
        "The dataset cannot be changed after funding",
    ),
    "Campaign_EmptyEvidence": (
        "The attestation names no evidence",
        "Its hash is zero",
        "Attest a published manifest",
    ),
    "Campaign_BadContent": (
        "The attested content has root {contentRoot} and {contentSize} bytes",
        "The root is zero exactly when the size is, and weights are never empty",
        "Attest the manifest's content",
    ),
    "Campaign_ScoreTooLow": (
        "The attested score is {actual:score}",
        "The terms require at least {minScore:score}",
        "This result does not release the milestone's money",
    ),
    "Campaign_QuorumNotMet": (
        "The attestation carries {actual:count signature}",
        "The terms require {quorum}",
        "Collect more attestors' signatures",
    ),
    "Campaign_UnknownSigner": (
        "One of the signatures is not an attestor's",
        "Only attestors of the terms count",
        "Remove the others",
    ),
    "Campaign_BadSignature": (
        "The signature of attestor {attestor} is not valid",
        "It was made by another key or for another attestation",
        "Ask that attestor to sign again",
    ),
    "Campaign_SlackExceeded": (
        "The deadlines would be {wouldBe:duration} late in total",
        "The terms allow {slack:duration}",
        "Extend by less",
    ),
    "Campaign_VoteUnchanged": (
        "{support:vote}",
        "A vote counts once, with the whole pledge",
        "Nothing needs to be done",
    ),
    "Campaign_VotingNotOpen": (
        "Voting opens at {opensAt:time} ({opensAt:from_now})",
        "It opens a day after activation, so that nobody votes with money borrowed for a moment",
        "Vote then: no money is paid out before",
    ),
    "Campaign_VotingClosed": (
        "Voting is closed",
        "The weights are attested, so the product is public",
        "From here only an unanswered challenge, or a refusal by the terms' arbiter, fails the campaign",
    ),
    "Campaign_WrongContent": (
        "This is not the latest attested content",
        "Root {contentRoot} with {contentSize} bytes belongs to another milestone or campaign",
        "Take both from the latest attestation; `llamafund campaign show` prints them",
    ),
    "Campaign_WindowOver": (
        "It is too late for this, or nothing is attested yet",
        "What is attested can be challenged, contested and ruled on until its window is over",
        _SHOW,
    ),
    "Campaign_NothingToContest": (
        "The last milestone is not attested yet",
        "The arbiter only decides about the last tranche",
        "Backers can vote to stop the campaign until then",
    ),
    "Campaign_AlreadyContested": (
        "The last attestation is contested already",
        "One ruling decides, whoever asked for it",
        "Wait for the ruling",
    ),
    "Campaign_NotContested": (
        "The last attestation is not contested",
        "A ruling ends a contest",
        "Contest it first, if its window is still open",
    ),
    "Campaign_ChunkOutOfRange": (
        "The content has no chunk {actual}",
        "It has {chunks:count chunk} of 16 KiB, counted from 0",
        "Name a smaller number",
    ),
    "Campaign_AlreadyChallenged": (
        "Chunk {chunk} was challenged before",
        "Each chunk of a milestone can be challenged once",
        "Name another chunk",
    ),
    "Campaign_BondTooSmall": (
        "The bond of {actual:coin} is too small",
        "With this block's base fee and the challenges that are open, it must be at least {min:coin}",
        "Offer more, with some room for both to rise",
    ),
    "Campaign_BondTooLarge": (
        "The bond of {actual:coin} is too large",
        "The contract can record at most {max:coin}",
        "Offer less: whoever answers gets all of it",
    ),
    "Campaign_ChallengeOpen": (
        "A chunk of the previous milestone was challenged and is not answered yet",
        "It is released once every challenge is answered, at the latest before {answerBy:time} ({answerBy:from_now})",
        "Answer with `llamafund answer`, then submit again",
    ),
    "Campaign_NoChallengeOpen": (
        "No challenge is open",
        "All of them have been answered, or nobody made one",
        _SHOW,
    ),
    "Campaign_NotNextChallenge": (
        "Chunk {expected} must be answered first, not chunk {actual}",
        "Challenges are answered in the order in which they were made",
        "`llamafund answer` answers all that are open, in order",
    ),
    "Campaign_WrongChunk": (
        "These bytes are not chunk {chunk} of the attested content",
        "Their length, or their path to the content root, is not right",
        "Check the store. `llamafund answer` finds the right bytes if it has them",
    ),
    "Campaign_NotChallenger": (
        "{caller} has no bond to reclaim for chunk {chunk}",
        "A bond belongs to whoever made the challenge, as long as it is open",
        _SHOW,
    ),
    "Campaign_NothingToClaim": (
        "There is nothing to claim now",
        "A milestone's money is released when its challenge window has passed",
        _SHOW,
    ),
    "Campaign_NothingToRefund": (
        "{backer} is owed no refund",
        "It has no pledge, or already has its refund",
        _SHOW,
    ),
    "CampaignFactory_NotResearcher": (
        "{caller} is not the researcher of these terms",
        "The terms name {researcher}, and only the researcher may open the campaign",
        "Use the researcher's wallet",
    ),
    "CampaignFactory_AssetWithoutCode": (
        "There is no token at {asset}",
        "The address has no code on this chain",
        "Check the address and the network",
    ),
    "CampaignFactory_ZeroProposal": (
        "The terms name no proposal",
        "Backers must be able to see what they pay for",
        "Publish a proposal first",
    ),
    "CampaignFactory_NoAttestor": (
        "The terms name no attestor",
        "Somebody has to vouch for the milestones",
        "Name at least one",
    ),
    "CampaignFactory_TooManyAttestors": (
        "The terms name {count} attestors",
        "At most {max} are allowed",
        "Name fewer",
    ),
    "CampaignFactory_ZeroAttestor": (
        "The {index:ordinal} attestor is the zero address",
        "Nobody can sign for it",
        "Name an address",
    ),
    "CampaignFactory_DuplicateAttestor": (
        "The attestor {attestor} is named twice",
        "Each counts once",
        "Name it once",
    ),
    "CampaignFactory_BadQuorum": (
        "The quorum is {quorum}",
        "The terms name {attestors:count attestor}",
        "Choose between 1 and their number",
    ),
    "CampaignFactory_NoPayee": ("The terms name no payee", "Somebody has to be paid", "Name at least one"),
    "CampaignFactory_TooManyPayees": (
        "The terms name {count} payees",
        "At most {max} are allowed",
        "Name fewer",
    ),
    "CampaignFactory_ZeroPayee": (
        "The {index:ordinal} payee is the zero address",
        "Nobody can claim for it",
        "Name an address",
    ),
    "CampaignFactory_ZeroPayeeBps": (
        "The {index:ordinal} payee has no share",
        "A payee without a share is a mistake",
        "Leave it out",
    ),
    "CampaignFactory_PayeeBpsNotWhole": (
        "The payees' shares add up to {sumBps:percent}",
        "They must add up to 100 %",
        "Correct them",
    ),
    "CampaignFactory_NoMilestone": (
        "The terms name no milestone",
        "Money moves only at milestones",
        "Name at least the weights",
    ),
    "CampaignFactory_TooManyMilestones": (
        "The terms name {count} milestones",
        "At most {max} are allowed",
        "Name fewer",
    ),
    "CampaignFactory_ZeroMilestoneBps": (
        "The {index:ordinal} milestone has no share",
        "Each releases a part of the pool",
        "Give it one",
    ),
    "CampaignFactory_MilestoneBpsNotWhole": (
        "The milestones' shares add up to {sumBps:percent}",
        "They must add up to 100 %",
        "Correct them",
    ),
    "CampaignFactory_KindOrder": (
        "The {index:ordinal} milestone is of kind {kind:kind}",
        "Kinds come in the order DATASET…, CHECKPOINT…, one WEIGHTS",
        "Put them in order",
    ),
    "CampaignFactory_LastNotWeights": (
        "The last milestone is of kind {kind:kind}",
        "It is always the open WEIGHTS",
        "End with the weights",
    ),
    "CampaignFactory_WeightsBpsTooSmall": (
        "The weights' share is {bps:percent}",
        "At least {min:percent} of the pool must depend on them",
        "Give them more",
    ),
    "CampaignFactory_DeadlineTooEarly": (
        "The {index:ordinal} milestone is due at {deadline:time}",
        "It can be due at {min:time} at the earliest, so that the windows before it fit",
        "Move it later",
    ),
    "CampaignFactory_DeadlineTooLate": (
        "The last milestone is due at {deadline:time}",
        "It can be due at {max:time} at the latest",
        "Move it earlier",
    ),
    "CampaignFactory_BadFundingDeadline": (
        "Funding would end at {deadline:time}",
        "It must end between {min:time} and {max:time}",
        "Choose another time",
    ),
    "CampaignFactory_BadGoal": (
        "The goal is {goal:money} and the cap {cap:money}",
        "The goal must be above zero and not above the cap",
        "Correct them",
    ),
    "CampaignFactory_BadStopBps": (
        "A stop would take {bps:percent} of the pledges",
        "It must be between {min:percent} and {max:percent}",
        "Choose another share",
    ),
    "CampaignFactory_BadChallengeWindow": (
        "The challenge window is {actual:duration}",
        "It must be between {min:duration} and {max:duration}",
        "Choose another length",
    ),
    "CampaignFactory_BadAnswerWindow": (
        "The answer window is {actual:duration}",
        "It must be between {min:duration} and {max:duration}",
        "Choose another length",
    ),
    "CampaignFactory_BondTooSmall": (
        "The least bond of a challenge is {actual:coin}",
        "It must be at least {min:coin}, so that a flood of challenges costs something",
        "Choose what an answer really costs, or more",
    ),
    "CampaignFactory_BadRulingWindow": (
        "The ruling window is {actual:duration}",
        "It must be between {min:duration} and {max:duration}: without an arbiter it is 0",
        "Choose another length",
    ),
    "CampaignFactory_SlackTooLong": (
        "The slack is {slack:duration}",
        "It must be at most {max:duration}",
        "Choose less",
    ),
    "CourtArbiter_NoCourt": (
        "There is no contract at {court}",
        "An arbiter asks a court, which is a contract",
        "Check the court's address",
    ),
    "CourtArbiter_BadAppealReserve": (
        "The reserve for appeals is {actual:duration}",
        "It must be between {min:duration} and {max:duration}",
        "Choose what a round at the court takes at most",
    ),
    "CourtArbiter_NotACampaign": (
        "{campaign} is not a campaign that this arbiter's factory opened",
        "The arbiter takes disputes about genuine campaigns only",
        "Check the address",
    ),
    "CourtArbiter_NotItsArbiter": (
        "The campaign's arbiter is {arbiter}",
        "Only the arbiter that the terms name can contest an attestation",
        "Turn to that one",
    ),
    "CourtArbiter_NotBacker": (
        "{caller} has no pledge in this campaign",
        "Only backers may start a dispute",
        "Use the wallet that pledged",
    ),
    "CourtArbiter_EmptyEvidence": (
        "No evidence is named",
        "The court's jurors would have nothing to look at",
        "Name a report",
    ),
    "CourtArbiter_AlreadyDisputed": (
        "The campaign is disputed already: number {disputeId} at the court",
        "One ruling decides, whoever asked for it",
        "Add your evidence to that dispute: llamafund dispute --add",
    ),
    "CourtArbiter_TooLate": (
        "No ruling would count any more: the time for it ended at {endedAt:time} ({endedAt:from_now})",
        "The court was asked before and did not decide",
        _SHOW,
    ),
    "CourtArbiter_TooLateToAppeal": (
        "Appeals were taken until {endedAt:time} ({endedAt:from_now})",
        "The ruling after a later one might come when it does not count any more",
        "Wait for the ruling",
    ),
    "CourtArbiter_CampaignEnded": (
        "The campaign is {status:status}",
        "No ruling could change that",
        _SHOW,
    ),
    "CourtArbiter_FeeTooSmall": (
        "{actual:coin} do not pay the court",
        "Its fee is {min:coin} now",
        "Repeat the command, which asks for the fee again",
    ),
    "CourtArbiter_DisputeIdInUse": (
        "The court gave this dispute the number of another one, {disputeId}",
        "Its ruling could not be told from the other's",
        "Wait for the other ruling, and do not trust that court",
    ),
    "CourtArbiter_NoDispute": (
        "No dispute about {campaign} waits for a ruling",
        "Evidence and appeals belong to a running dispute",
        _SHOW,
    ),
    "CourtArbiter_NotCourt": (
        "{caller} is not the arbiter's court",
        "Only the court gives rulings",
        "Let the court execute its ruling",
    ),
    "CourtArbiter_UnknownDispute": (
        "No dispute with the number {disputeId} waits for a ruling",
        "It was ruled on before, or never existed",
        _SHOW,
    ),
    "CourtArbiter_OutOfGas": (
        "There was too little gas to pass the ruling on",
        "The ruling still waits at the court",
        "Execute it again with more gas",
    ),
    "FailedDeployment": (
        "There is already a campaign with exactly these terms and this salt",
        "Its address follows from both",
        "Choose another --salt",
    ),
    "FailedCall": (
        "The recipient did not take the money",
        "Its contract refused or ran out of gas",
        "Name another recipient if the command has --to, or use another wallet",
    ),
    "InsufficientBalance": (
        "The campaign holds {balance:money}",
        "It needed {needed:money}",
        "Nothing was sent",
    ),
    "ReentrancyGuardReentrantCall": (
        "The call came back into the campaign",
        "A token or recipient tried to call it again in between",
        "Do not trust that contract",
    ),
    "SafeERC20FailedOperation": (
        "The token {token} refused the transfer",
        "Balance or allowance may be too small, or the token blocks one of the two accounts",
        "Check the token's balance of your wallet",
    ),
    "ERC20InsufficientBalance": (
        "{sender} has {balance:money}",
        "The transfer needs {needed:money}",
        "Get more of the token, or use less",
    ),
    "ERC20InsufficientAllowance": (
        "{spender} may spend {allowance:money}",
        "The transfer needs {needed:money}",
        "Approve more",
    ),
    "ERC2612ExpiredSignature": (
        "The permit expired at {deadline:time}",
        "Permits are only valid for a short time",
        "Try again",
    ),
    "ERC2612InvalidSigner": (
        "The permit was signed by {signer}",
        "The owner is {owner}",
        "Use the owner's wallet",
    ),
}
