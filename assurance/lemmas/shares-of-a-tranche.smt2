; Shares of at most 10 000 basis points together are no more than the tranche: one more share keeps it so.
; Needed for: payees, so that what is left for the last one is never negative. By induction over the payees: `sum` is what
; the payees before get, `bps` what they have together. The induction's claim is sum * 10 000 <= tranche * bps.
(declare-const tranche Int)
(declare-const sum Int)
(declare-const bps Int)
(declare-const share Int)
(assert (<= 0 tranche))
(assert (<= 0 bps))
(assert (<= 0 share))
(assert (<= (* sum 10000) (* tranche bps)))
(check-sat)
(define-fun next () Int (+ sum (div (* tranche share) 10000)))
(assert (not (and
  (<= (* next 10000) (* tranche (+ bps share)))
  (=> (<= (+ bps share) 10000) (<= next tranche)))))
(check-sat)
