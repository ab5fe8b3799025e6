"""What a person looks at: figures, videos and the report of the comparison.

::

    tables         from results to the tables that figures are made from
    eye            figures of an eye
    figures        each a function of a table and axes
    palette        the colours of figures and pages
    findings       what a figure shows, in sentences
    style          one look for all of them, and how one is saved
    gallery        which figures there are
    study          the study's figure
    clips          base and residual side by side on a scene
    labels         words on a film's pictures
    video          frames to files
    cards          cards of datasets and policies
    bundle_cards   those beside an exported bundle
    markdown       Markdown as the Hugging Face Hub reads it
    page           a page of HTML that needs nothing but itself
    comparison     the report of a comparison
    desk           the gauntlet: its table, figure and section of the report
"""
